import HawserFormat

/// How the nodes of all trees hang together and which packs each needs: read once, asked for every snapshot.
struct CheckGraph {
    struct Node {
        /// Of the node itself and of the data chunks that it names, each once.
        var packs: [UInt32] = []
        /// For each chunk that lies in several packs, these packs: any of them will do.
        var copies: [[UInt32]] = []
        var children: [UInt32] = []
        /// Something of the node itself can't be read.
        var isHurt = false
    }

    private(set) var nodes: [Node] = []
    private var numbers: [TreeNode.Key: UInt32] = [:]

    func number(of key: TreeNode.Key) -> UInt32? { numbers[key] }

    mutating func set(_ key: TreeNode.Key, _ node: Node, children: [TreeNode]) {
        var node = node
        node.children = children.map { makeNumber(of: $0.key) }
        nodes[Int(makeNumber(of: key))] = node
    }

    private mutating func makeNumber(of key: TreeNode.Key) -> UInt32 {
        if let number = numbers[key] { return number }
        let number = UInt32(nodes.count)
        nodes.append(Node())
        numbers[key] = number
        return number
    }

    /// Calls `body` once for each node that `root` reaches.
    func forEachNode(from root: UInt32, _ body: (Node) -> Void) {
        var isSeen = [Bool](repeating: false, count: nodes.count)
        var stack = [root]
        isSeen[Int(root)] = true
        while let number = stack.popLast() {
            let node = nodes[Int(number)]
            body(node)
            for child in node.children where !isSeen[Int(child)] {
                isSeen[Int(child)] = true
                stack.append(child)
            }
        }
    }

    /// Which nodes are hurt or reach one that is, at their numbers.
    func hurtNodes(_ damage: CheckDamage) -> [Bool] {
        var isHurt = nodes.map { node in
            node.isHurt || node.packs.contains(where: damage.mayHurt)
                || node.copies.contains { damage.mayHurt($0[0]) }
        }
        // Upwards until nothing changes: as often as trees are high, because parents come before children as a rule.
        var isChanged = true
        while isChanged {
            isChanged = false
            for number in nodes.indices.reversed()
            where !isHurt[number] && nodes[number].children.contains(where: { isHurt[Int($0)] }) {
                isHurt[number] = true
                isChanged = true
            }
        }
        return isHurt
    }
}

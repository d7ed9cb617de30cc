/// A document in the making. Answers are written here and not by a library, so that every byte of them can be chosen.
struct XMLText {
    private(set) var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

    static let s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    static let stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

    static func document(_ root: String, namespace: String? = nil, _ content: (inout XMLText) -> Void) -> String {
        var document = XMLText()
        document.text += namespace.map { "<\(root) xmlns=\"\($0)\">" } ?? "<\(root)>"
        content(&document)
        document.text += "</\(root)>"
        return document.text
    }

    mutating func element(_ name: String, _ value: String) {
        text += "<\(name)>"
        escape(value)
        text += "</\(name)>"
    }

    mutating func element(_ name: String, _ content: (inout XMLText) -> Void) {
        text += "<\(name)>"
        content(&self)
        text += "</\(name)>"
    }

    private mutating func escape(_ value: String) {
        for scalar in value.unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            // A carriage return would be read as a line feed. The others are not allowed in XML 1.0, escaped or not; real
            // servers send them all the same, and `encoding-type=url` is the way around it.
            case "\u{0}"..."\u{1f}" where scalar != "\n" && scalar != "\t":
                text += "&#x\(String(scalar.value, radix: 16));"
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}

import Hawser

/// Brings a snapshot's entries into an archive's order: what a folder holds comes right behind the folder. In a snapshot
/// the folders beside it come between, and GNU tar gives a folder its times as soon as something outside of it follows.
/// Folders are held until then: those of one folder, and of the folders above it.
struct ArchiveOrder {
    /// Folders that were found and have not come yet, by the folder that holds them.
    private var waiting: [(parent: EntryPath?, folders: ArraySlice<Entry>)] = []
    private var current: EntryPath?

    mutating func add(_ folder: Entry) {
        if waiting.isEmpty || waiting.last?.parent != folder.path.parent { waiting.append((folder.path.parent, [])) }
        waiting[waiting.endIndex - 1].folders.append(folder)
    }

    /// The next folder that has to come before what `parent` holds, or before the end.
    mutating func next(before parent: EntryPath?) -> Entry? {
        if parent != nil, parent == current { return nil }
        while let last = waiting.indices.last {
            if let folder = waiting[last].folders.popFirst() {
                current = folder.path
                return folder
            }
            waiting.removeLast()
        }
        return nil
    }
}

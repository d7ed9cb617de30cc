// `import Hawser` is enough. Re-exported whole instead of by type aliases: with `MemberImportVisibility`, which Hawser asks of
// itself and its users may have on, an alias brings the type but none of the members that extensions in these modules add.
@_exported public import HawserControl
@_exported public import HawserFormat
@_exported public import HawserMovers
@_exported public import HawserRepository
@_exported public import HawserS3
@_exported public import HawserStorage
@_exported public import HawserTransfer

extension Duration {
    /// What somebody else says: no number of his ends this program. A century is as good as for ever.
    init(saidSeconds seconds: Double) {
        let century = 100.0 * 365 * 86_400
        self = .seconds(seconds.isNaN ? 0 : min(max(seconds, -century), century))
    }
}

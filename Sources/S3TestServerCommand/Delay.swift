import ArgumentParser

/// `50ms` or `2s`.
struct Delay: ExpressibleByArgument {
    var value: Duration

    init(value: Duration) {
        self.value = value
    }

    init?(argument: String) {
        if argument.hasSuffix("ms"), let count = Int64(argument.dropLast(2)), count >= 0 {
            value = .milliseconds(count)
        } else if argument.hasSuffix("s"), let count = Int64(argument.dropLast(1)), count >= 0 {
            value = .seconds(count)
        } else {
            return nil
        }
    }

    var defaultValueDescription: String { "0s" }
}

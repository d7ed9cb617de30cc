public import CoreMetrics
import Synchronization

/// A backend of swift-metrics that keeps the newest values and writes them in Prometheus' text format.
///
/// Counters become counters, meters and gauges become gauges, recorders become histograms, timers become histograms in
/// seconds. Names are taken as they are, so a timer is called `…_seconds` and a counter `…_total` by whoever makes it.
///
/// Nothing that a program does with metrics makes it fail: a name that is used for two kinds, and series beyond the
/// limit, count into the void, and `hawser_metrics_series_refused_total` says how many.
public final class PrometheusRegistry: MetricsFactory, Sendable {
    public struct Configuration: Sendable {
        /// Texts for HELP lines, by name.
        public var help: [String: String]
        /// Upper bounds of timers' buckets, in seconds.
        public var timerBounds: [Double]
        /// Upper bounds of recorders' buckets, in the recorder's unit.
        public var recorderBounds: [Double]
        /// Combinations of label values that one name can have. Labels are meant to have few values; this bounds the
        /// memory when one comes from outside by mistake.
        public var seriesLimit: Int

        public init(
            help: [String: String] = [:],
            timerBounds: [Double] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
            recorderBounds: [Double] = (0..<13).map { Double(1 << ($0 * 2 + 6)) },
            seriesLimit: Int = 1000
        ) {
            self.help = help
            self.timerBounds = timerBounds.sorted()
            self.recorderBounds = recorderBounds.sorted()
            self.seriesLimit = seriesLimit
        }
    }

    private enum Series {
        case counter(CounterSeries)
        case floatingPointCounter(GaugeSeries)
        case gauge(GaugeSeries)
        case histogram(HistogramSeries)

        var type: String {
            switch self {
            case .counter, .floatingPointCounter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }

        var handler: AnyObject {
            switch self {
            case .counter(let handler): handler
            case .floatingPointCounter(let handler), .gauge(let handler): handler
            case .histogram(let handler): handler
            }
        }
    }

    private struct Family {
        var type: String
        /// By the labels as they are written, so that lines come out sorted and a combination exists once.
        var series: [String: (labels: [(String, String)], value: Series)] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        /// Where a handler is, to remove it.
        var places: [ObjectIdentifier: (name: String, labels: String)] = [:]
        var refused: Int64 = 0
    }

    private let configuration: Configuration
    private let state = Mutex(State())

    public init(configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    // MARK: MetricsFactory

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let series = find(label, dimensions) { .counter(CounterSeries()) }
        if case .counter(let handler) = series { return handler }
        return CounterSeries()
    }

    public func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        let series = find(label, dimensions) { .floatingPointCounter(GaugeSeries()) }
        if case .floatingPointCounter(let handler) = series { return handler }
        return GaugeSeries()
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        makeGauge(label, dimensions)
    }

    public func makeRecorder(
        label: String,
        dimensions: [(String, String)],
        aggregate: Bool
    ) -> any RecorderHandler {
        aggregate ? makeHistogram(label, dimensions, configuration.recorderBounds) : makeGauge(label, dimensions)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        makeHistogram(label, dimensions, configuration.timerBounds)
    }

    public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    // MARK: Series

    private func makeGauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries {
        if case .gauge(let handler)? = find(label, dimensions, { .gauge(GaugeSeries()) }) { return handler }
        return GaugeSeries()
    }

    private func makeHistogram(
        _ label: String,
        _ dimensions: [(String, String)],
        _ bounds: [Double]
    ) -> HistogramSeries {
        // `le` is the bucket's own label.
        let dimensions = dimensions.map { $0.0 == "le" ? ("le_", $0.1) : $0 }
        let series = find(label, dimensions) { .histogram(HistogramSeries(bounds: bounds)) }
        if case .histogram(let handler)? = series { return handler }
        return HistogramSeries(bounds: bounds)
    }

    /// The series of this name and these labels, made when there is none; `nil` when it must not be written.
    private func find(_ label: String, _ dimensions: [(String, String)], _ make: () -> Series) -> Series? {
        let name = PrometheusName.metric(label)
        // Of a label that is given twice the later value counts: twice the same name would void the whole page.
        var values: [String: String] = [:]
        for (key, value) in dimensions { values[PrometheusName.label(key)] = value }
        let labels = values.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        let key = PrometheusName.labels(labels)
        return state.withLock { state in
            let series = make()
            var family = state.families[name] ?? Family(type: series.type)
            let known = family.series[key]?.value
            guard family.type == series.type, known != nil || family.series.count < configuration.seriesLimit else {
                state.refused += 1
                return nil
            }
            if let known { return known }
            family.series[key] = (labels, series)
            state.families[name] = family
            state.places[ObjectIdentifier(series.handler)] = (name, key)
            return series
        }
    }

    private func remove(_ handler: AnyObject) {
        state.withLock { state in
            guard let place = state.places.removeValue(forKey: ObjectIdentifier(handler)) else { return }
            state.families[place.name]?.series[place.labels] = nil
            if state.families[place.name]?.series.isEmpty == true { state.families[place.name] = nil }
        }
    }

    // MARK: Text

    /// All values, in the text format. Content type: `text/plain; version=0.0.4; charset=utf-8`.
    public func text() -> String {
        let (families, refused) = state.withLock { ($0.families, $0.refused) }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            if let help = configuration.help[name] { text += "# HELP \(name) \(PrometheusName.escapedHelp(help))\n" }
            text += "# TYPE \(name) \(family.type)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }).map(\.value) {
                write(series, name, labels, to: &text)
            }
        }
        text += "# HELP hawser_metrics_series_refused_total Series that are not shown: a limit, or a name used twice.\n"
        text += "# TYPE hawser_metrics_series_refused_total counter\n"
        text += "hawser_metrics_series_refused_total \(refused)\n"
        return text
    }

    private func write(_ series: Series, _ name: String, _ labels: [(String, String)], to text: inout String) {
        switch series {
        case .counter(let handler):
            text += "\(name)\(PrometheusName.labels(labels)) \(handler.value)\n"
        case .floatingPointCounter(let handler), .gauge(let handler):
            text += "\(name)\(PrometheusName.labels(labels)) \(PrometheusName.number(handler.value))\n"
        case .histogram(let handler):
            let snapshot = handler.snapshot
            var total: Int64 = 0
            for (bound, count) in zip(handler.bounds + [.infinity], snapshot.counts) {
                total += count
                let labels = PrometheusName.labels(labels + [("le", PrometheusName.number(bound))])
                text += "\(name)_bucket\(labels) \(total)\n"
            }
            text += "\(name)_sum\(PrometheusName.labels(labels)) \(PrometheusName.number(snapshot.sum))\n"
            text += "\(name)_count\(PrometheusName.labels(labels)) \(total)\n"
        }
    }
}

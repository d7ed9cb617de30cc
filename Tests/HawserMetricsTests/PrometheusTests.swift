import HawserMetrics
import Metrics
import Testing

struct PrometheusTests {
    let registry = PrometheusRegistry(
        configuration: .init(
            help: ["requests_total": "Requests,\nby \\path\\ and \"kind\"."],
            timerBounds: [1, 0.1],
            recorderBounds: [10, 100],
            seriesLimit: 3
        )
    )

    /// Without the registry's own lines.
    var lines: [String] {
        registry.text().split(separator: "\n").map(String.init).filter { !$0.contains("hawser_metrics_series") }
    }

    func refused() -> String? {
        registry.text().split(separator: "\n").last.map(String.init)
    }

    @Test func counter() {
        let counter = Counter(label: "requests_total", dimensions: [("path", "/"), ("kind", "get")], factory: registry)
        counter.increment()
        counter.increment(by: 41)
        #expect(
            lines == [
                #"# HELP requests_total Requests,\nby \\path\\ and "kind"."#, "# TYPE requests_total counter",
                #"requests_total{kind="get",path="/"} 42"#,
            ]
        )
    }

    @Test func counterNeverFallsOrOverflows() {
        let counter = registry.makeCounter(label: "c", dimensions: [])
        counter.increment(by: 5)
        counter.increment(by: -3)
        #expect(lines.last == "c 5")
        counter.increment(by: .max)
        counter.increment(by: 7)
        #expect(lines.last == "c \(Int64.max)")
        counter.reset()
        #expect(lines.last == "c 0")
    }

    @Test func meterAndGauge() {
        let meter = Meter(label: "open", factory: registry)
        meter.increment(by: 3)
        meter.decrement(by: 1)
        Gauge(label: "ratio", factory: registry).record(0.25)
        FloatingPointCounter(label: "seconds_total", factory: registry).increment(by: 1.5)
        #expect(
            lines == [
                "# TYPE open gauge", "open 2", "# TYPE ratio gauge", "ratio 0.25", "# TYPE seconds_total counter",
                "seconds_total 1.5",
            ]
        )
    }

    @Test func recorderIsAHistogramWithSummedBuckets() {
        let recorder = Recorder(label: "size", dimensions: [("kind", "a")], factory: registry)
        for value in [1, 10, 11, 100, 1000] { recorder.record(value) }
        recorder.record(Double.nan)
        #expect(
            lines == [
                "# TYPE size histogram", #"size_bucket{kind="a",le="10"} 2"#, #"size_bucket{kind="a",le="100"} 4"#,
                #"size_bucket{kind="a",le="+Inf"} 5"#, #"size_sum{kind="a"} 1122"#, #"size_count{kind="a"} 5"#,
            ]
        )
    }

    @Test func timerIsInSecondsAndItsBoundsAreSorted() {
        Timer(label: "wait_seconds", factory: registry).recordMilliseconds(250)
        #expect(
            lines == [
                "# TYPE wait_seconds histogram", #"wait_seconds_bucket{le="0.1"} 0"#,
                #"wait_seconds_bucket{le="1"} 1"#, #"wait_seconds_bucket{le="+Inf"} 1"#, "wait_seconds_sum 0.25",
                "wait_seconds_count 1",
            ]
        )
    }

    @Test func labelValuesAreEscaped() {
        Counter(label: "c", dimensions: [("v", "a\\b\"c\nd\r\ne{}=,é")], factory: registry).increment()
        #expect(lines.last == #"c{v="a\\b\"c\nd"# + "\r" + #"\ne{}=,é"} 1"#)
    }

    @Test func namesAreCleaned() {
        Counter(label: "9a-b.c:d", dimensions: [("9x-y:z", "1"), ("", "2")], factory: registry).increment()
        #expect(lines.last == #"_9a_b_c:d{_="2",_9x_y_z="1"} 1"#)
    }

    @Test func aLabelGivenTwiceIsThereOnce() {
        Counter(label: "c", dimensions: [("a.b", "1"), ("a-b", "2")], factory: registry).increment()
        #expect(lines.last == #"c{a_b="2"} 1"#)
        Recorder(label: "h", dimensions: [("le", "mine")], factory: registry).record(1)
        #expect(lines.contains(#"h_bucket{le_="mine",le="10"} 1"#))
    }

    @Test func sameLabelsInAnyOrderAreOneSeries() {
        Counter(label: "c", dimensions: [("a", "1"), ("b", "2")], factory: registry).increment()
        Counter(label: "c", dimensions: [("b", "2"), ("a", "1")], factory: registry).increment()
        #expect(lines == ["# TYPE c counter", #"c{a="1",b="2"} 2"#])
    }

    @Test func typeIsWrittenOnceForAllSeries() {
        for value in ["b", "a"] {
            Counter(label: "c", dimensions: [("v", value)], factory: registry).increment()
        }
        #expect(lines == ["# TYPE c counter", #"c{v="a"} 1"#, #"c{v="b"} 1"#])
    }

    @Test func nameOfTwoKindsKeepsTheFirst() {
        Counter(label: "x", factory: registry).increment()
        Meter(label: "x", factory: registry).set(7)
        Timer(label: "x", factory: registry).recordSeconds(7)
        #expect(lines == ["# TYPE x counter", "x 1"])
        #expect(refused() == "hawser_metrics_series_refused_total 2")
    }

    @Test func seriesAreLimited() {
        for value in 0..<5 { Counter(label: "c", dimensions: [("v", "\(value)")], factory: registry).increment() }
        #expect(lines.count == 4)
        #expect(refused() == "hawser_metrics_series_refused_total 2")
    }

    @Test func destroyedSeriesDisappear() {
        let one = Meter(label: "m", dimensions: [("v", "1")], factory: registry)
        let two = Meter(label: "m", dimensions: [("v", "2")], factory: registry)
        one.set(1)
        two.set(2)
        one.destroy()
        #expect(lines == ["# TYPE m gauge", #"m{v="2"} 2"#])
        two.destroy()
        #expect(lines.isEmpty)
    }

    @Test(arguments: [
        (Double.infinity, "+Inf"), (-Double.infinity, "-Inf"), (Double.nan, "NaN"), (1e300, "1e+300"), (-0.5, "-0.5"),
        (1_000_000, "1000000"),
    ])
    func numbers(value: Double, text: String) {
        Gauge(label: "g", factory: registry).record(value)
        #expect(lines.last == "g \(text)")
    }

    @Test func countsOfManyTasksAddUp() async {
        let counter = Counter(label: "c", factory: registry)
        let meter = Meter(label: "m", factory: registry)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.increment()
                        meter.increment()
                    }
                }
            }
        }
        #expect(lines.contains("c 8000"))
        #expect(lines.contains("m 8000"))
    }
}

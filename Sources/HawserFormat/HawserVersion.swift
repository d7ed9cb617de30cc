/// The version of this software, as snapshots record it.
public enum HawserVersion {
    public static let number = "0.1.0"
    public static let text = "hawser " + number
}

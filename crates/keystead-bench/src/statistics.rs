//! From rounds to figures.

use hdrhistogram::Histogram;

/// Fewer samples than this say nothing about a 99th percentile.
const SAMPLES_FOR_P99: u64 = 100;

/// One stretch of load on one server.
pub(crate) struct Round {
    pub(crate) seconds: f64,
    /// Of the server's process.
    pub(crate) cpu_seconds: f64,
    /// One entry for each request, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
}

/// What the rounds of one server come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Requests of all rounds.
    pub(crate) requests: u64,
    /// Median over the rounds.
    pub(crate) per_second: f64,
    /// Requests per second of the server's CPU time: median over the rounds. `None` if the clock of the
    /// kernel was too coarse to see any.
    pub(crate) per_cpu_second: Option<f64>,
    /// Microseconds: medians of the rounds' percentiles or, if a round has too few requests for that,
    /// percentiles of all requests together.
    pub(crate) p50_micros: f64,
    /// `None` for fewer than 100 requests.
    pub(crate) p99_micros: Option<f64>,
}

impl Round {
    pub(crate) fn per_second(&self) -> f64 {
        count(self.latencies.len()) / self.seconds
    }

    /// `None` if no CPU time was seen.
    pub(crate) fn per_cpu_second(&self) -> Option<f64> {
        (self.cpu_seconds > 0.0).then(|| count(self.latencies.len()) / self.cpu_seconds)
    }

    fn micros(&self, quantile: f64) -> f64 {
        micros(&self.latencies, quantile)
    }
}

impl Figures {
    /// `None` without rounds.
    pub(crate) fn of(rounds: &[Round]) -> Option<Self> {
        let (first, rest) = rounds.split_first()?;
        let mut all = first.latencies.clone();
        for round in rest {
            // Histograms of one range always add.
            all.add(&round.latencies).ok()?;
        }
        let each = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let by_round = rounds.iter().all(|round| round.latencies.len() >= SAMPLES_FOR_P99);
        let percentile = |quantile: f64| {
            if by_round {
                each(&|round| round.micros(quantile))
            } else {
                Some(micros(&all, quantile))
            }
        };
        Some(Self {
            requests: all.len(),
            per_second: each(&Round::per_second)?,
            per_cpu_second: median(rounds.iter().filter_map(Round::per_cpu_second).collect()),
            p50_micros: percentile(0.5)?,
            p99_micros: if all.len() < SAMPLES_FOR_P99 { None } else { percentile(0.99) },
        })
    }
}

/// The median of ratios, round by round: what disturbs the machine for longer than a round disturbs both
/// sides of a ratio.
pub(crate) fn median_ratio(
    ours: impl IntoIterator<Item = Option<f64>>,
    theirs: impl IntoIterator<Item = Option<f64>>,
) -> Option<f64> {
    let ratios = ours.into_iter().zip(theirs).filter_map(|(ours, theirs)| {
        let theirs = theirs?;
        (theirs > 0.0).then_some(ours? / theirs)
    });
    median(ratios.collect())
}

/// `None` for no values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values.get(middle - 1)? + upper) / 2.0)
}

/// A count as a number to divide.
#[allow(clippy::cast_precision_loss, reason = "no run counts to 2^52")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

fn micros(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    count(latencies.value_at_quantile(quantile)) / 1_000.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn round(requests: u64, micros: u64, seconds: f64, cpu_seconds: f64) -> Round {
        let mut latencies = Histogram::new_with_bounds(1_000, 600_000_000_000, 3).unwrap();
        latencies.record_n(micros * 1_000, requests).unwrap();
        Round { seconds, cpu_seconds, latencies }
    }

    fn near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() < wanted * 0.002
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn ratios_pair_the_rounds() {
        // A disturbance that halves both sides of the second round leaves no trace.
        let ours = [Some(10.0), Some(5.0), Some(10.0)];
        let theirs = [Some(40.0), Some(20.0), Some(40.0)];
        assert_eq!(median_ratio(ours, theirs), Some(0.25));
        assert_eq!(median_ratio([None, Some(1.0)], [Some(1.0), Some(2.0)]), Some(0.5));
        assert_eq!(median_ratio([Some(1.0)], [Some(0.0)]), None);
        assert_eq!(median_ratio([Some(1.0)], [None]), None);
    }

    #[test]
    fn figures_are_medians_of_rounds() {
        let rounds =
            [round(1_000, 100, 1.0, 0.5), round(4_000, 200, 2.0, 1.0), round(9_000, 900, 3.0, 3.0)];
        let figures = Figures::of(&rounds).unwrap();
        assert_eq!(figures.requests, 14_000);
        assert!(near(figures.per_second, 2_000.0));
        assert!(near(figures.per_cpu_second.unwrap(), 3_000.0));
        // Over all requests together it would be 900.
        assert!(near(figures.p50_micros, 200.0));
        assert!(near(figures.p99_micros.unwrap(), 200.0));
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn few_samples_claim_no_99th_percentile() {
        let rounds = [round(9, 100, 1.0, 0.0), round(90, 700, 1.0, 0.0)];
        let figures = Figures::of(&rounds).unwrap();
        assert_eq!((figures.p99_micros, figures.per_cpu_second), (None, None));
        assert!(near(figures.p50_micros, 700.0));
        let enough = [round(9, 100, 1.0, 1.0), round(91, 700, 1.0, 1.0)];
        assert!(near(Figures::of(&enough).unwrap().p99_micros.unwrap(), 700.0));
    }
}

//! `matrixon admin profile`: where a running process spends its CPU, or what it allocates and keeps, as a flame graph.

mod cpu;
mod heap;
mod symbols;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use inferno::flamegraph::{self, Options};
use tokio::{sync::Mutex, task::spawn_blocking};

use self::symbols::Symbols;

/// The longest that one may take.
pub(crate) const MAX_SECONDS: u64 = 600;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Where the CPU time goes, sampled 99 times a second
    Cpu,
    /// What is allocated meanwhile and still there at the end, sampled every 64 KiB
    Heap,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Heap => "heap",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Cpu, Self::Heap].into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("profiling is off: set `telemetry.profiling = true` and reload")]
    Off,
    #[error("this process is being profiled already")]
    Running,
    #[error("the process ends")]
    Ends,
    #[error("nothing to show: {0}")]
    Empty(&'static str),
    #[error("cannot profile: {0}")]
    Failed(String),
}

/// Samples of one stack: addresses from the innermost call outwards, and their weight.
struct Stack {
    thread: String,
    addresses: Vec<usize>,
    weight: u64,
}

/// One at a time, and none unless the configuration allows it: samples cost CPU, and a flame graph shows what runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profiler {
    on: Arc<AtomicBool>,
    turn: Arc<Mutex<()>>,
}

impl Profiler {
    pub(crate) fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// A flame graph (SVG) of the next seconds. Dropped, it stops.
    pub(crate) async fn record(&self, kind: Kind, time: Duration) -> Result<Vec<u8>, ProfileError> {
        if !self.on.load(Ordering::Relaxed) {
            return Err(ProfileError::Off);
        }
        let turn = Arc::clone(&self.turn).try_lock_owned().map_err(|_| ProfileError::Running)?;
        let stacks = match kind {
            Kind::Cpu => cpu::record(time, turn).await?,
            Kind::Heap => heap::record(time).await?,
        };
        let drawn = spawn_blocking(move || draw(kind, time, &stacks)).await;
        drawn.map_err(|error| ProfileError::Failed(error.to_string()))?
    }
}

fn draw(kind: Kind, time: Duration, stacks: &[Stack]) -> Result<Vec<u8>, ProfileError> {
    let symbols = Symbols::load();
    let (mut names, mut folded) = (HashMap::new(), HashMap::<String, u64>::new());
    for stack in stacks {
        for address in &stack.addresses {
            names.entry(*address).or_insert_with(|| symbols.names(*address));
        }
        *folded.entry(fold(stack, &names)).or_default() += stack.weight;
    }
    if folded.is_empty() {
        return Err(ProfileError::Empty(match kind {
            Kind::Cpu => "it used no CPU in that time",
            Kind::Heap => "nothing of what was allocated in that time is still there",
        }));
    }
    let mut lines: Vec<String> = folded.into_iter().map(|(names, weight)| format!("{names} {weight}")).collect();
    lines.sort_unstable();
    let mut options = Options::default();
    options.title = format!("matrixon {}, {} of {} s", env!("CARGO_PKG_VERSION"), kind.as_str(), time.as_secs());
    options.count_name = String::from(if kind == Kind::Cpu { "samples" } else { "bytes" });
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg)
        .map_err(|error| ProfileError::Failed(error.to_string()))?;
    Ok(svg)
}

/// `thread;outermost;…;innermost`
fn fold(stack: &Stack, names: &HashMap<usize, Vec<String>>) -> String {
    let mut frames: Vec<&String> = stack.addresses.iter().filter_map(|address| names.get(address)).flatten().collect();
    // the last of them: what is inlined into it has its name too
    if let Some(handler) = frames.iter().rposition(|name| name.contains(cpu::HANDLER)) {
        // and the kernel's return from it
        frames.drain(..frames.len().min(handler + 2));
    }
    let mut folded = clean(&stack.thread);
    for name in frames.iter().rev() {
        folded.push(';');
        folded.push_str(&clean(name));
    }
    folded
}

/// A frame's name may hold neither what separates frames nor what ends a line.
fn clean(name: &str) -> String {
    name.replace(';', ":").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_only_when_it_is_on() {
        let profiler = Profiler::default();
        let time = Duration::from_secs(2);
        assert!(matches!(profiler.record(Kind::Cpu, time).await, Err(ProfileError::Off)));
        profiler.set(true);
        let held = profiler.turn.lock().await;
        assert!(matches!(profiler.record(Kind::Cpu, time).await, Err(ProfileError::Running)));
        drop(held);
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let busy = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let svg = String::from_utf8(profiler.record(Kind::Cpu, time).await.unwrap()).unwrap();
        assert!(svg.contains("<svg") && svg.contains("one_at_a_time"), "{}", svg.len());
        assert!(!svg.contains("perf_signal_handler"), "the profiler shows itself");
        done.store(true, Ordering::Relaxed);
        busy.join().unwrap();
    }

    #[inline(never)]
    fn keep_much() -> Vec<Vec<u8>> {
        (0..64).map(|_| vec![1; 1 << 20]).collect()
    }

    #[tokio::test]
    async fn what_is_kept_is_in_the_heap_profile() {
        let profiler = Profiler::default();
        profiler.set(true);
        let keeper = async {
            // it has begun when this is first polled
            keep_much()
        };
        let (svg, kept) = tokio::join!(profiler.record(Kind::Heap, Duration::from_millis(50)), keeper);
        let svg = String::from_utf8(svg.unwrap()).unwrap();
        assert!(svg.contains("keep_much"), "{} of {}", svg.len(), kept.len());
    }

    #[test]
    fn frames_cannot_break_the_format() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let known = HashMap::from([
            (1, names(&["profiler"])),
            (2, names(&[cpu::HANDLER])),
            (3, names(&["__restore_rt"])),
            (4, names(&["inlined", "drop::<[u8; 4]>"])),
            (5, names(&["main"])),
        ]);
        let stack = Stack { thread: "a;b\nc".to_owned(), addresses: vec![1, 2, 3, 4, 5], weight: 1 };
        assert_eq!(fold(&stack, &known), "a:b c;main;drop::<[u8: 4]>;inlined");
    }
}

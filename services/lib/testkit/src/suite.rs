//! Runs named asynchronous tests against one shared cluster, several at a time, and reports like libtest.

use std::{
    collections::VecDeque,
    future::Future,
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use futures::{FutureExt, future::BoxFuture};
use tokio::{runtime::Runtime, task::JoinSet};

/// No test may take longer: a hang fails and is named.
const LIMIT: Duration = Duration::from_mins(3);

type Run<E> = Box<dyn Fn(Arc<E>) -> BoxFuture<'static, Result<()>> + Send>;

/// A test in the environment `E`.
pub struct Test<E> {
    pub name: &'static str,
    run: Run<E>,
}

impl<E: Send + Sync + 'static> Test<E> {
    pub fn new<F: Future<Output = Result<()>> + Send + 'static>(
        name: &'static str,
        run: impl Fn(Arc<E>) -> F + Send + 'static,
    ) -> Self {
        Self { name, run: Box::new(move |env| run(env).boxed()) }
    }
}

/// `tests![first, second]`: a function `all()` with the module's tests, each `async fn(Arc<Env>) -> Result<()>`.
#[macro_export]
macro_rules! tests {
    ($env:ty: $($name:ident),+ $(,)?) => {
        pub fn all() -> Vec<$crate::suite::Test<$env>> {
            vec![$($crate::suite::Test::new(concat!(module_path!(), "::", stringify!($name)), $name)),+]
        }
    };
}

/// A whole test program (`harness = false`): what it was asked on the command line, and what became of it.
pub struct Suite {
    filters: Vec<String>,
    exact: bool,
    list: bool,
    limit: Duration,
    runtime: Runtime,
    started: Instant,
    passed: usize,
    filtered: usize,
    failed: Vec<String>,
}

impl Suite {
    /// Understands libtest's name filters, `--exact` and `--list`; ignores its other options.
    pub fn from_args() -> Result<Self> {
        let (options, filters): (Vec<String>, Vec<String>) =
            std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
        let has = |name: &str| options.iter().any(|option| option == name);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let started = Instant::now();
        let (exact, list) = (has("--exact"), has("--list"));
        Ok(Self { filters, exact, list, limit: LIMIT, runtime, started, passed: 0, filtered: 0, failed: Vec::new() })
    }

    /// Lets every test take this much longer than usual.
    pub fn extend_limit(&mut self, by: Duration) {
        self.limit = LIMIT + by;
    }

    fn wants(&self, name: &str) -> bool {
        let matches = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        self.filters.is_empty() || self.filters.iter().any(matches)
    }

    /// Runs the tests, `width` at a time, in the environment that `prepare` makes if any of them is wanted.
    pub fn run<E: Send + Sync + 'static>(
        &mut self,
        group: &str,
        tests: Vec<Test<E>>,
        width: usize,
        prepare: impl FnOnce(&Runtime) -> Result<E>,
    ) {
        let named = tests.into_iter().map(|test| (format!("{group}::{}", strip_crate(test.name)), test));
        let (wanted, others): (Vec<_>, Vec<_>) = named.partition(|(name, _)| self.wants(name));
        self.filtered += others.len();
        if self.list {
            for (name, _) in wanted {
                println!("{name}: test");
            }
            return;
        }
        if wanted.is_empty() {
            return;
        }
        println!("\nrunning {} tests", wanted.len());
        match prepare(&self.runtime) {
            Ok(env) => self.run_all(wanted, width, env),
            Err(error) => self.report(format!("{group}::prepare"), Err(error), Duration::ZERO),
        }
    }

    fn run_all<E: Send + Sync + 'static>(&mut self, tests: Vec<(String, Test<E>)>, width: usize, env: E) {
        let env = Arc::new(env);
        let mut waiting: VecDeque<_> = tests.into();
        let mut running = JoinSet::new();
        loop {
            while running.len() < width
                && let Some((name, test)) = waiting.pop_front()
            {
                running.spawn_on(run_one(name, (test.run)(Arc::clone(&env)), self.limit), self.runtime.handle());
            }
            let Some(done) = self.runtime.block_on(running.join_next()) else { break };
            match done {
                Ok((name, result, took)) => self.report(name, result, took),
                Err(error) => self.report("(a test)".into(), Err(error.into()), Duration::ZERO),
            }
        }
        // The last reference: ends the cluster, outside of the asynchronous world.
        drop(env);
    }

    fn report(&mut self, name: String, result: Result<()>, took: Duration) {
        match result {
            Ok(()) => {
                println!("test {name} ... ok <{:.1}s>", took.as_secs_f32());
                self.passed += 1;
            }
            Err(error) => {
                println!("test {name} ... FAILED <{:.1}s>\n    {error:#}", took.as_secs_f32());
                self.failed.push(name);
            }
        }
    }

    /// The summary, as libtest prints it.
    pub fn finish(self) -> ExitCode {
        if self.list {
            return ExitCode::SUCCESS;
        }
        if !self.failed.is_empty() {
            println!("\nfailures:");
            for name in &self.failed {
                println!("    {name}");
            }
        }
        let verdict = if self.failed.is_empty() { "ok" } else { "FAILED" };
        let (passed, failed, filtered) = (self.passed, self.failed.len(), self.filtered);
        let seconds = self.started.elapsed().as_secs_f32();
        println!(
            "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
             {filtered} filtered out; finished in {seconds:.2}s\n"
        );
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
    }
}

fn strip_crate(name: &str) -> &str {
    name.split_once("::").map_or(name, |(_, rest)| rest)
}

async fn run_one(
    name: String,
    test: BoxFuture<'static, Result<()>>,
    limit: Duration,
) -> (String, Result<()>, Duration) {
    let started = Instant::now();
    let result = match tokio::time::timeout(limit, AssertUnwindSafe(test).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(anyhow!("panicked: {}", describe(&*panic))),
        Err(_) => Err(anyhow!("took longer than {} s", limit.as_secs())),
    };
    (name, result, started.elapsed())
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".into())
}

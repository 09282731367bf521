//! What happens on SIGHUP: every part that can change while running registers a hook.

use std::sync::Arc;

use parking_lot::Mutex;

type Hook = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The process's reload hooks; clones share them.
#[derive(Clone, Default)]
pub struct Reload {
    hooks: Arc<Mutex<Vec<(&'static str, Hook)>>>,
}

impl Reload {
    /// `hook` runs on every SIGHUP; its error is logged and the old state stays in force.
    pub fn register(&self, name: &'static str, hook: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.hooks.lock().push((name, Arc::new(hook)));
    }

    /// Runs every hook, in the order of registration, and tells what became of each; one that fails does not stop the others.
    pub fn run(&self) -> Vec<(&'static str, Result<(), String>)> {
        let hooks = self.hooks.lock().clone();
        let run = hooks.into_iter().map(|(name, hook)| {
            let result = hook();
            match &result {
                Ok(()) => tracing::info!(part = name, "reloaded"),
                Err(error) => tracing::error!(part = name, error, "reload failed, the old state stays in force"),
            }
            (name, result)
        });
        run.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_failing_hook_does_not_stop_the_others() {
        let ran = Arc::new(AtomicUsize::new(0));
        let reload = Reload::default();
        reload.register("first", || Err("no".to_owned()));
        let counter = Arc::clone(&ran);
        reload.register("second", move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert_eq!(reload.run(), [("first", Err("no".to_owned())), ("second", Ok(()))]);
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    }
}

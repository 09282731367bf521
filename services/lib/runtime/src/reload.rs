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

    /// Runs every hook, in the order of registration; one that fails does not stop the others.
    pub fn run(&self) {
        let hooks = self.hooks.lock().clone();
        for (name, hook) in hooks {
            match hook() {
                Ok(()) => tracing::info!(part = name, "reloaded"),
                Err(error) => tracing::error!(part = name, error, "reload failed, the old state stays in force"),
            }
        }
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
        reload.run();
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    }
}

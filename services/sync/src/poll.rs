//! One /sync request: build what is new, or wait for it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    erased,
    error::SyncError,
    live::{
        memory::Memory,
        user::{Bell, Present},
    },
    load,
    metrics::{METRICS, Waiting},
    response,
    state::Shared,
    store,
    streams::{Ask, Loaded, Missing, News, View, gather},
    to_device,
    token::Token,
};

/// Attempts to bring memory and SQL to one moment before giving up; two are the rule when something must be loaded.
const ATTEMPTS: usize = 8;

pub(crate) async fn sync(shared: &Shared, ask: Ask, timeout: Duration) -> Result<Bytes, SyncError> {
    let user = shared.live.online(&ask.user_id).await?;
    let device = match ask.device {
        0 => Arc::<Bell>::default().enter(0),
        number => Box::pin(shared.live.online_device(number)).await?,
    };
    let outcome = match ask.since {
        None => Box::pin(initial(shared, &ask)).await,
        Some(since) => incremental(shared, ask, since, timeout, (&user, &device)).await,
    };
    for present in [user, device] {
        present.leave(shared.clock.now_ms());
    }
    if matches!(outcome, Err(SyncError::Unavailable | SyncError::Store(_))) {
        METRICS.deliveries_failed.inc();
    }
    outcome
}

async fn initial(shared: &Shared, ask: &Ask) -> Result<Bytes, SyncError> {
    let loaded = begin(shared, ask).await?;
    let mut news = collect(shared, ask, loaded).await?;
    hide_erased(shared, ask, &mut news).await?;
    Ok(finish(shared, ask, &news, None))
}

/// What every first sync needs from SQL; memory has then reached everything acknowledged before the request.
async fn begin(shared: &Shared, ask: &Ask) -> Result<Loaded, SyncError> {
    let (heads, account_data) = store::account_data::list_with_heads(&shared.db, &ask.user_id).await?;
    shared.live.catch_up(heads).await?;
    let account_data = account_data.into_iter().map(Arc::new).collect();
    Ok(Loaded { account_data: Some((heads.account_data, account_data)), ..Loaded::default() })
}

async fn incremental(
    shared: &Shared,
    mut ask: Ask,
    since: Token,
    timeout: Duration,
    (user, device): (&Present, &Present),
) -> Result<Bytes, SyncError> {
    let deadline = Instant::now() + timeout.min(Duration::from_millis(shared.config.max_timeout_ms));
    // who does not wait wants to see now what another replica acknowledged a moment ago
    let at_once = timeout.is_zero() || ask.full_state;
    if at_once || is_ahead(since, shared.live.read(Memory::heads)) {
        Box::pin(shared.live.refresh()).await?;
        if is_ahead(since, shared.live.read(Memory::heads)) {
            return Err(SyncError::FutureToken);
        }
    }
    Box::pin(to_device::acknowledge(shared, ask.device, since.to_device)).await?;
    let mut woken = None;
    loop {
        // registered before the position is sampled: what comes after the sample rings
        let mut rung = std::pin::pin!(user.bell.notify.notified());
        let mut device_rung = std::pin::pin!(device.bell.notify.notified());
        rung.as_mut().enable();
        device_rung.as_mut().enable();
        let turn = Turn { since, deadline, woken };
        // mostly everything is in memory, and nothing has to be awaited
        let mut seen = turn.in_memory(shared, &mut ask);
        if matches!(seen, Seen::TooLittle) {
            seen = Box::pin(turn.with_loads(shared, &mut ask)).await?;
        }
        if let Seen::Answer(answer) = seen {
            return Ok(answer);
        }
        let _waiting = Waiting::begin();
        tokio::select! {
            () = rung => woken = user.bell.rung_at(),
            () = device_rung => woken = device.bell.rung_at(),
            () = tokio::time::sleep_until(deadline) => {}
            () = shared.shutdown.wait_draining() => {}
        }
    }
}

/// One look at what is new for a client. What a look needs lives no longer than it: the future of a client that
/// waits holds none of it.
struct Turn {
    since: Token,
    deadline: Instant,
    /// When the bell rang that led to this look.
    woken: Option<Instant>,
}

enum Seen {
    Answer(Bytes),
    Nothing,
    /// Memory alone does not tell.
    TooLittle,
}

impl Turn {
    fn in_memory(&self, shared: &Shared, ask: &mut Ask) -> Seen {
        match look(shared, ask, &Loaded::default()) {
            Ok(news) if !erased::is_needed(&news) => self.answer(shared, ask, &news),
            _ => Seen::TooLittle,
        }
    }

    async fn with_loads(&self, shared: &Shared, ask: &mut Ask) -> Result<Seen, SyncError> {
        let mut news = collect(shared, ask, Loaded::default()).await?;
        hide_erased(shared, ask, &mut news).await?;
        Ok(self.answer(shared, ask, &news))
    }

    fn answer(&self, shared: &Shared, ask: &mut Ask, news: &News) -> Seen {
        if !news.is_empty() || ask.full_state {
            return Seen::Answer(finish(shared, ask, news, self.woken));
        }
        if shared.shutdown.draining() {
            return Seen::Answer(response::write_nothing(self.since, &news.keys));
        }
        // nothing of that concerned this client; it need not be looked at again
        ask.since = Some(news.next);
        if Instant::now() >= self.deadline {
            return Seen::Answer(response::write_nothing(news.next, &news.keys));
        }
        Seen::Nothing
    }
}

/// Mostly there is nothing to look at, and nothing to await.
async fn hide_erased(shared: &Shared, ask: &Ask, news: &mut News) -> Result<(), SyncError> {
    if erased::is_needed(news) {
        Box::pin(erased::hide(shared, ask, news)).await?;
    }
    Ok(())
}

fn is_ahead(since: Token, heads: Token) -> bool {
    !heads.has_reached(since)
}

/// Gathers from memory; what it lacks is loaded, then gathered again at the moment that memory has reached then.
async fn collect(shared: &Shared, ask: &Ask, mut loaded: Loaded) -> Result<News, SyncError> {
    if let Ok(news) = look(shared, ask, &loaded) {
        return Ok(news);
    }
    if let Some(news) = Box::pin(collect_device(shared, ask, &mut loaded)).await? {
        return Ok(news);
    }
    let _permit = shared.loaders.acquire().await.map_err(|_| SyncError::Unavailable)?;
    for _ in 0..ATTEMPTS {
        // whoever held a permit before may have brought it
        match look(shared, ask, &loaded) {
            Ok(news) => return Ok(news),
            Err(missing) => Box::pin(load::load(shared, ask, &missing, &mut loaded)).await?,
        }
    }
    tracing::warn!("memory and database did not come to one moment");
    Err(SyncError::Unavailable)
}

/// The same while nothing is missing but what the device has of its own: that need not wait for great loads.
async fn collect_device(shared: &Shared, ask: &Ask, loaded: &mut Loaded) -> Result<Option<News>, SyncError> {
    for _ in 0..ATTEMPTS {
        match look(shared, ask, loaded) {
            Ok(news) => return Ok(Some(news)),
            Err(missing) if missing.is_about_device() => {
                let _permit = shared.device_loaders.acquire().await.map_err(|_| SyncError::Unavailable)?;
                load::load_of_device(shared, ask, &missing, loaded).await?;
            }
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn look(shared: &Shared, ask: &Ask, loaded: &Loaded) -> Result<News, Box<Missing>> {
    let key = (ask.user_id.clone(), ask.device_id.clone());
    let sent_members =
        if ask.filter.lazy.is_on() { shared.sent_members.get_with(key, Arc::default) } else { Arc::default() };
    shared.live.read(|memory| {
        let now = memory.heads();
        let Some(user) = memory.user(&ask.user_id) else {
            let next = ask.since.unwrap_or_default();
            return Ok(News { next, keys: shared.no_keys.clone(), ..News::default() });
        };
        let no_keys = &shared.no_keys;
        gather(&View { ask, memory, user, loaded, now, sent_members: &sent_members, no_keys })
    })
}

fn finish(shared: &Shared, ask: &Ask, news: &News, woken: Option<Instant>) -> Bytes {
    let now_ms = shared.clock.now_ms();
    let body = response::write(ask, news, now_ms);
    let timelines = news.joined.values().filter_map(|room| room.timeline.as_ref());
    let mut delivered = 0;
    for event in timelines.flat_map(|timeline| &timeline.events) {
        delivered += 1;
        if woken.is_some() {
            METRICS.delivery_latency.observe((now_ms - event.origin_server_ts).max(0) as f64 / 1_000.0);
        }
    }
    METRICS.deliveries.inc_by(delivered);
    METRICS.to_device_delivered.inc_by(news.to_device.len() as u64);
    if let Some(rung_at) = woken {
        METRICS.wake_seconds.observe(rung_at.elapsed().as_secs_f64());
    }
    body
}

use matrixon_proto::auth::v1::{ListRevocationsResponse, Revocation};
use proptest::prelude::*;

use super::sessions::{Session, Sessions};
use super::*;

fn session(user: u8, device: u8, token: u8, position: i64) -> Session {
    Session {
        user: UserAuth {
            user_id: format!("@u{user}:x").try_into().unwrap(),
            device_id: format!("D{device}").into(),
            admin: false,
            standing: Standing::default(),
            token_sha256: [token; 32],
        },
        expires_at_ms: None,
        position,
        seen_ms: 0,
    }
}

fn revocation(position: i64, user: u8, device: Option<u8>, token: Option<u8>) -> Revocation {
    Revocation {
        position,
        user_id: format!("@u{user}:x"),
        device_id: device.map_or_else(String::new, |device| format!("D{device}")),
        token_sha256: token.map_or_else(Vec::new, |token| vec![token; 32]).into(),
    }
}

fn answer(position: i64, revocations: Vec<Revocation>) -> ListRevocationsResponse {
    ListRevocationsResponse { position, revocations, gap: false }
}

fn started_at(position: i64) -> Sessions {
    let sessions = Sessions::new(1 << 20);
    sessions.apply(answer(position, vec![]));
    sessions
}

fn knows(sessions: &Sessions, token: u8) -> bool {
    sessions.find(&[token; 32], 0).is_some()
}

#[test]
fn a_revocation_removes_what_it_concerns() {
    let sessions = started_at(10);
    for (user, device, token) in [(1, 1, 1), (1, 2, 2), (1, 2, 3), (2, 1, 4)] {
        sessions.insert(session(user, device, token, 10));
    }
    sessions.apply(answer(11, vec![revocation(11, 1, Some(2), Some(3))]));
    assert_eq!([1, 2, 3, 4].map(|token| knows(&sessions, token)), [true, true, false, true]);
    sessions.apply(answer(12, vec![revocation(12, 1, Some(2), None)]));
    assert_eq!([1, 2, 3, 4].map(|token| knows(&sessions, token)), [true, false, false, true]);
    sessions.apply(answer(13, vec![revocation(13, 1, None, None)]));
    assert_eq!([1, 2, 3, 4].map(|token| knows(&sessions, token)), [false, false, false, true]);
}

#[test]
fn an_answer_that_a_processed_revocation_overtook_is_not_cached() {
    let sessions = started_at(10);
    // The token was read at 10, revoked at 11, the gateway processed 11, and only then the answer arrives.
    sessions.apply(answer(12, vec![revocation(11, 1, None, None), revocation(12, 2, None, None)]));
    sessions.insert(session(1, 1, 1, 10));
    assert!(!knows(&sessions, 1));
    // Another user's answer of the same age was not concerned.
    sessions.insert(session(3, 1, 3, 10));
    assert!(knows(&sessions, 3));
    // A token that was read after the revocation is a new one.
    sessions.insert(session(1, 1, 4, 11));
    assert!(knows(&sessions, 4));
}

#[test]
fn an_answer_ahead_of_the_stream_survives_the_revocation_before_it() {
    let sessions = started_at(10);
    sessions.insert(session(1, 1, 1, 15));
    sessions.apply(answer(15, vec![revocation(12, 1, None, None)]));
    assert!(knows(&sessions, 1));
    sessions.apply(answer(16, vec![revocation(16, 1, None, None)]));
    assert!(!knows(&sessions, 1));
}

#[test]
fn an_answer_older_than_what_is_kept_is_not_cached() {
    let sessions = started_at(0);
    let many = (1..=5_000).map(|position| revocation(position, 9, None, None)).collect();
    sessions.apply(answer(5_000, many));
    sessions.insert(session(1, 1, 1, 500));
    assert!(!knows(&sessions, 1));
    sessions.insert(session(1, 1, 1, 4_000));
    assert!(knows(&sessions, 1));
}

#[test]
fn gaps_and_a_database_that_went_back_forget_everything() {
    let sessions = Sessions::new(1 << 20);
    sessions.insert(session(1, 1, 1, 5));
    sessions.insert(session(1, 1, 2, 10));
    sessions.apply(answer(10, vec![]));
    assert_eq!([knows(&sessions, 1), knows(&sessions, 2)], [false, true]);
    sessions.apply(ListRevocationsResponse { gap: true, ..answer(20, vec![]) });
    assert!(!knows(&sessions, 2));
    sessions.insert(session(1, 1, 3, 20));
    sessions.apply(answer(3, vec![]));
    assert!(!knows(&sessions, 3));
    assert_eq!(sessions.seen(), Some(3));
}

#[test]
fn sessions_expire() {
    let sessions = started_at(1);
    sessions.insert(Session { expires_at_ms: Some(1_000), ..session(1, 1, 1, 1) });
    assert!(sessions.find(&[1; 32], 999).is_some());
    assert!(sessions.find(&[1; 32], 1_000).is_none());
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_used() {
    let sessions = Sessions::new(100 * 335);
    sessions.apply(answer(1, vec![]));
    for token in 0..=255 {
        sessions.insert(session(token, 1, token, 1));
        assert!(knows(&sessions, 0), "{token}");
    }
    let known = (0..=255).filter(|token| knows(&sessions, *token)).count();
    assert!((80..=101).contains(&known), "{known}");
}

/// One step of a history in which tokens are issued and revoked, read by the auth service, and answers and polls arrive
/// in any order.
#[derive(Clone, Debug)]
enum Step {
    Revoke { token: u8 },
    Read { token: u8 },
    Arrive { which: usize },
    Poll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..4_u8).prop_map(|token| Step::Revoke { token }),
        (0..4_u8).prop_map(|token| Step::Read { token }),
        (0..8_usize).prop_map(|which| Step::Arrive { which }),
        Just(Step::Poll),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_was_revoked_before_the_last_poll_is_never_served(steps in steps()) {
        let sessions = Sessions::new(1 << 20);
        let mut log: Vec<Revocation> = Vec::new();
        let mut alive = [true; 4];
        let mut in_flight: Vec<Session> = Vec::new();
        for step in steps {
            let position = log.len() as i64;
            match step {
                Step::Revoke { token } => {
                    alive[usize::from(token)] = false;
                    log.push(revocation(position + 1, token, None, None));
                }
                Step::Read { token } if alive[usize::from(token)] => in_flight.push(session(token, 1, token, position)),
                Step::Read { .. } => {}
                Step::Arrive { which } => {
                    if !in_flight.is_empty() {
                        sessions.insert(in_flight.swap_remove(which % in_flight.len()));
                    }
                }
                Step::Poll => {
                    let since = sessions.seen().unwrap_or(position);
                    sessions.apply(answer(position, log[since as usize..].to_vec()));
                }
            }
            let seen = sessions.seen().unwrap_or(0) as usize;
            for token in 0..4 {
                let revoked = log[..seen].contains(&revocation_of(&log[..seen], token));
                prop_assert!(!(revoked && knows(&sessions, token)), "token {token} after {seen}");
            }
        }
    }
}

/// The token's revocation, if the log has one; otherwise one that no log has.
fn revocation_of(log: &[Revocation], token: u8) -> Revocation {
    let of_token = log.iter().find(|one| one.user_id == format!("@u{token}:x"));
    of_token.cloned().unwrap_or_else(|| revocation(-1, token, None, None))
}

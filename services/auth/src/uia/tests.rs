//! The rules of completing a session, whatever order the stages come in.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Flow, Stage, session::Session, stages::Proof};
use crate::threepids::Credentials;

fn stages(most: usize) -> impl Strategy<Value = Flow> {
    vec(select(Stage::ALL.as_slice()), 0..=most)
}

proptest! {
    #[test]
    fn done_means_that_every_stage_of_some_flow_was_completed(flows in vec(stages(3), 0..4), done in stages(6)) {
        let mut session = Session::new("operation".to_owned(), None, None);
        for stage in &done {
            session.complete(*stage, Proof::default());
        }
        let expected = flows.iter().any(|flow| !flow.is_empty() && flow.iter().all(|stage| done.contains(stage)));
        prop_assert_eq!(session.is_done(&flows), expected);
    }

    #[test]
    fn a_session_is_for_one_operation_of_one_user(operation in ".{0,20}", other in ".{0,20}", user in ".{1,20}") {
        let session = Session::new(operation.clone(), Some(&user), None);
        prop_assert!(session.is_for(&operation, Some(&user)));
        prop_assert_eq!(session.is_for(&other, Some(&user)), other == operation);
        prop_assert!(!session.is_for(&operation, None));
    }
}

#[test]
fn a_proof_is_kept_by_later_stages() {
    let mut session = Session::new("operation".to_owned(), None, None);
    session
        .complete(Stage::RegistrationToken, Proof { registration_token: Some("token".to_owned()), ..Proof::default() });
    session.complete(Stage::Dummy, Proof::default());
    assert_eq!(session.proof.registration_token.as_deref(), Some("token"));
    assert_eq!(session.completed, [Stage::RegistrationToken, Stage::Dummy]);
}

#[test]
fn a_stage_brings_no_proof_but_its_own() {
    let address = |sid: &str| Some(Credentials { sid: sid.to_owned(), client_secret: "s3cret".to_owned() });
    let mut session = Session::new("operation".to_owned(), None, None);
    session.complete(Stage::EmailIdentity, Proof { validation: address("new"), ..Proof::default() });
    session.complete(Stage::Terms, Proof { validation: address("old"), registration_token: Some("old".to_owned()) });
    assert_eq!(session.proof, Proof { validation: address("new"), ..Proof::default() });
}

#[test]
fn parameters_that_are_too_many_are_known_by_their_digest() {
    let params = |device_id: &str| {
        let devices = vec![device_id.repeat(200); 100];
        serde_json::Map::from_iter([("devices".to_owned(), devices.into())])
    };
    let mut session = Session::new("operation".to_owned(), None, None);
    assert!(!session.began_otherwise(&params("A")));
    session.set_params(&params("A"));
    let kept = session.shortened();
    assert!(kept.params.is_empty());
    assert!(!kept.began_otherwise(&params("A")));
    assert!(kept.began_otherwise(&params("B")));
}

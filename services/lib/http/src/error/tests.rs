use axum::response::IntoResponse as _;
use serde_json::json;
use tonic::{Code, Status};

use super::*;

fn across_grpc(error: MatrixError) -> MatrixError {
    MatrixError::from(Status::from(error))
}

#[test]
fn errors_survive_grpc_unchanged() {
    let mut challenge = Map::new();
    challenge.insert("session".to_owned(), "abc".into());
    let errors = [
        MatrixError::forbidden("no"),
        MatrixError::unknown_token(true),
        MatrixError::unknown_token(false),
        MatrixError::limit_exceeded(1_500),
        MatrixError::unavailable(),
        MatrixError::uia(challenge),
        MatrixError::too_large("ümläut"),
    ];
    for error in errors {
        assert_eq!(across_grpc(error.clone()), error);
    }
    assert_eq!(Status::from(MatrixError::forbidden("no")).code(), Code::PermissionDenied);
}

#[test]
fn the_transport_and_strangers_have_errors_too() {
    assert_eq!(MatrixError::from(Status::unavailable("gone")).status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(MatrixError::from(Status::deadline_exceeded("late")).status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(MatrixError::from(Status::unimplemented("?")).status, StatusCode::INTERNAL_SERVER_ERROR);
    let garbage = Status::with_details(Code::NotFound, "?", Bytes::from_static(b"\xff\xff\xff"));
    assert_eq!(MatrixError::from(garbage).status, StatusCode::INTERNAL_SERVER_ERROR);
    let nonsense = matrixon_proto::error::v1::ErrorDetail { http_status: 200, ..Default::default() };
    let bytes = prost::Message::encode_to_vec(&nonsense);
    let error = MatrixError::from(Status::with_details(Code::NotFound, "?", [bytes, vec![0x7a, 0]].concat().into()));
    assert_eq!((error.status, error.errcode.as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN"));
}

#[test]
fn bodies_are_what_the_specification_says() {
    let body = |error: MatrixError| serde_json::from_slice::<Value>(&error.body()).unwrap();
    assert_eq!(body(MatrixError::forbidden("no")), json!({"errcode": "M_FORBIDDEN", "error": "no"}));
    let limited = MatrixError::limit_exceeded(1_500);
    assert_eq!(body(limited.clone())["retry_after_ms"], 1_500);
    let response = limited.into_response();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(response.headers()["content-type"], "application/json");
    let challenge = json!({"flows": [{"stages": ["m.login.dummy"]}], "session": "s"});
    assert_eq!(body(MatrixError::uia(challenge.as_object().unwrap().clone())), challenge);
    assert_eq!(body(MatrixError::unknown_token(true))["soft_logout"], true);
}

#[test]
fn an_error_stays_small_enough_to_be_a_result() {
    assert!(size_of::<MatrixError>() <= 128, "{}", size_of::<MatrixError>());
}

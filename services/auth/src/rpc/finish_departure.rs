//! `FinishDeparture`: a user whose account has ended has left every room.

use matrixon_proto::auth::v1::{FinishDepartureRequest, FinishDepartureResponse};

use crate::{error::AuthError, state::Auth, store::departures};

#[tracing::instrument(name = "auth.rpc.finish_departure", skip_all)]
pub(crate) async fn finish_departure(
    auth: &Auth,
    request: FinishDepartureRequest,
) -> Result<FinishDepartureResponse, AuthError> {
    departures::delete_departure(&auth.db, &request.user_id).await?;
    Ok(FinishDepartureResponse {})
}

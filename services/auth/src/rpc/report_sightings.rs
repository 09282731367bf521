//! `ReportSightings`: where and when sessions were seen that a gateway knew without asking.

use matrixon_proto::auth::v1::{ReportSightingsRequest, ReportSightingsResponse};

use crate::{error::AuthError, state::Auth, store::devices};

const MAX_SIGHTINGS: usize = 1_000;

/// `M_INVALID_PARAM` ← more than 1,000
#[tracing::instrument(name = "auth.rpc.report_sightings", skip_all)]
pub(crate) async fn report_sightings(
    auth: &Auth,
    request: ReportSightingsRequest,
) -> Result<ReportSightingsResponse, AuthError> {
    if request.sightings.len() > MAX_SIGHTINGS {
        return Err(AuthError::InvalidParam(format!("at most {MAX_SIGHTINGS} sightings can be reported at once")));
    }
    let names: Vec<_> = request.sightings.iter().map(|seen| (seen.user_id.as_str(), seen.device_id.as_str())).collect();
    let devices = devices::load_ids(&auth.db, &names).await?;
    let now_ms = auth.clock.now_ms();
    for seen in &request.sightings {
        let Some(device) = devices.get(&(seen.user_id.clone(), seen.device_id.clone())) else { continue };
        let user_agent = Some(seen.user_agent.as_str()).filter(|agent| !agent.is_empty());
        auth.last_seen.note(*device, seen.seen_ms.min(now_ms), seen.remote_addr.parse().ok(), user_agent);
    }
    Ok(ReportSightingsResponse {})
}

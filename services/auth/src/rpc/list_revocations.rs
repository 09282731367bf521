//! `ListRevocations`: the stream `revocations` after a position.

use matrixon_proto::auth::v1::{ListRevocationsRequest, ListRevocationsResponse, Revocation};
use matrixon_store::streams::{self, Stream};

use crate::{
    error::AuthError,
    state::Auth,
    store::revocations::{self, RevocationRow},
};

const MAX_LIMIT: u32 = 1_000;

#[tracing::instrument(name = "auth.rpc.list_revocations", skip_all)]
pub(crate) async fn list_revocations(
    auth: &Auth,
    request: ListRevocationsRequest,
) -> Result<ListRevocationsResponse, AuthError> {
    let head = streams::head(&auth.db, Stream::REVOCATIONS).await?;
    let since = request.since;
    if since < 0 || since == head {
        return Ok(ListRevocationsResponse { position: head, revocations: Vec::new(), gap: false });
    }
    let limit = if request.limit == 0 { MAX_LIMIT } else { request.limit.min(MAX_LIMIT) };
    let rows = revocations::list_revocations(&auth.db, since, head, i64::from(limit)).await?;
    // The stream has no holes and is pruned from its beginning: what follows `since` is there, or it was pruned. A
    // `since` of the future is one of another database (a restored one): as good as pruned.
    let gap = rows.first().map(|row| row.position) != Some(since + 1);
    if gap {
        return Ok(ListRevocationsResponse { position: head, revocations: Vec::new(), gap: true });
    }
    let position = rows.last().map_or(head, |row| row.position);
    Ok(ListRevocationsResponse { position, revocations: rows.into_iter().map(to_message).collect(), gap: false })
}

fn to_message(row: RevocationRow) -> Revocation {
    Revocation {
        position: row.position,
        user_id: row.user_id,
        device_id: row.device_id,
        token_sha256: row.token_sha256.into(),
    }
}

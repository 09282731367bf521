//! The gRPC service of `proto/room/v1`.

use matrixon_http::MatrixError;
use matrixon_proto::room::v1::{
    DeleteReportRequest, DeleteReportResponse, GetReportRequest, ListReportsRequest, ListReportsResponse, Report,
    room_server::{Room as RoomRpc, RoomServer},
};
use tonic::{Request, Response, Status};

use crate::{
    error::RoomError,
    reports,
    service::Room,
    store::reports::{ReportRow, Wanted, delete, find},
};

/// To be merged into the router of the cluster listener.
pub(crate) fn router(room: Room) -> axum::Router {
    tonic::service::Routes::new(RoomServer::new(room)).into_axum_router().reset_fallback()
}

impl From<RoomError> for Status {
    fn from(error: RoomError) -> Self {
        MatrixError::from(error).into()
    }
}

fn unknown() -> RoomError {
    RoomError::NotFound("there is no such report".to_owned())
}

#[tonic::async_trait]
impl RoomRpc for Room {
    async fn list_reports(
        &self,
        request: Request<ListReportsRequest>,
    ) -> Result<Response<ListReportsResponse>, Status> {
        let request = request.into_inner();
        let wanted = Wanted {
            kind: &request.kind,
            reporter: &request.reporter,
            before: request.before,
            limit: i64::from(request.limit),
        };
        let (rows, has_more) = reports::list(self, wanted).await?;
        let next = rows.last().filter(|_| has_more).map_or(0, |row| row.id);
        Ok(Response::new(ListReportsResponse { reports: rows.into_iter().map(to_message).collect(), next }))
    }

    async fn get_report(&self, request: Request<GetReportRequest>) -> Result<Response<Report>, Status> {
        let row = find(&self.db, request.into_inner().id).await.map_err(RoomError::from)?;
        Ok(Response::new(to_message(row.ok_or_else(unknown)?)))
    }

    async fn delete_report(
        &self,
        request: Request<DeleteReportRequest>,
    ) -> Result<Response<DeleteReportResponse>, Status> {
        if delete(&self.db, request.into_inner().id).await.map_err(RoomError::from)? {
            Ok(Response::new(DeleteReportResponse {}))
        } else {
            Err(unknown().into())
        }
    }
}

fn to_message(row: ReportRow) -> Report {
    Report {
        id: row.id,
        kind: row.kind,
        reporter: row.reporter,
        room_id: row.room_id,
        event_id: row.event_id,
        user_id: row.user_id,
        reason: row.reason,
        received_ms: row.received_ts,
    }
}

//! The gRPC service of `proto/auth/v1`.

pub(crate) mod admin;
mod authenticate;
mod finish_departure;
mod get_profiles;
mod list_revocations;
mod report_sightings;

use matrixon_http::Verifier;
use matrixon_proto::auth::v1::{
    AuthenticateRequest, AuthenticateResponse, FinishDepartureRequest, FinishDepartureResponse, GetProfilesRequest,
    GetProfilesResponse, ListRevocationsRequest, ListRevocationsResponse, ReportSightingsRequest,
    ReportSightingsResponse,
    auth_server::{Auth as AuthRpc, AuthServer},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::state::Auth;

/// To be merged into the router of the cluster listener.
pub(crate) fn router(auth: Auth, verifier: Verifier) -> axum::Router {
    let mut routes = Routes::builder();
    routes.add_service(AuthServer::new(auth.clone()));
    admin::add(&mut routes, auth, verifier);
    routes.routes().into_axum_router()
}

#[tonic::async_trait]
impl AuthRpc for Auth {
    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        Ok(Response::new(authenticate::authenticate(self, request.into_inner()).await?))
    }

    async fn list_revocations(
        &self,
        request: Request<ListRevocationsRequest>,
    ) -> Result<Response<ListRevocationsResponse>, Status> {
        Ok(Response::new(list_revocations::list_revocations(self, request.into_inner()).await?))
    }

    async fn finish_departure(
        &self,
        request: Request<FinishDepartureRequest>,
    ) -> Result<Response<FinishDepartureResponse>, Status> {
        Ok(Response::new(finish_departure::finish_departure(self, request.into_inner()).await?))
    }

    async fn report_sightings(
        &self,
        request: Request<ReportSightingsRequest>,
    ) -> Result<Response<ReportSightingsResponse>, Status> {
        Ok(Response::new(report_sightings::report_sightings(self, request.into_inner()).await?))
    }

    async fn get_profiles(
        &self,
        request: Request<GetProfilesRequest>,
    ) -> Result<Response<GetProfilesResponse>, Status> {
        Ok(Response::new(get_profiles::get_profiles(self, request.into_inner()).await?))
    }
}

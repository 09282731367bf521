//! The gRPC service of `proto/auth/v1`.

pub(crate) mod admin;
mod audit_log;
mod authenticate;
mod finish_departure;
mod get_profiles;
mod list_revocations;
mod report_sightings;

use matrixon_http::{Assertion, MatrixError, Verifier, header::IDENTITY};
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
    audit_log::add(&mut routes, auth.clone(), verifier.clone());
    admin::add(&mut routes, auth, verifier);
    routes.routes().into_axum_router()
}

/// What is asserted about who makes a call. `M_UNAUTHORIZED` ← nothing that is valid
fn verify<Q>(verifier: &Verifier, request: &Request<Q>) -> Result<Assertion, MatrixError> {
    // Metadata is made of the request's headers, and these names are plain text.
    let header = request.metadata().get(IDENTITY).and_then(|value| value.to_str().ok());
    let header = header.and_then(|text| http::HeaderValue::from_str(text).ok());
    verifier.verify(header.as_ref()).map_err(|error| {
        tracing::warn!(%error, "refused an administrative call without a valid assertion");
        MatrixError::unauthorized("this service is reached through the gateway only")
    })
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

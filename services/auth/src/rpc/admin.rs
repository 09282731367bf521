//! The gRPC services of `proto/admin/v1`. They believe the gateway's assertion alone: whoever reaches the cluster port
//! without one is refused.

use std::future::Future;

use http::Method;
use matrixon_http::{
    Access, AdminAuth, Affinity, Auth as _, AuthKind, LimitClass, MatrixError, RequestMeta, RouteInfo, RouteKind,
    Verifier,
};
use matrixon_proto::admin::v1::{
    AuditHead, AuditHeadRequest, CreateRegistrationTokenRequest, CreateUserRequest, DeactivateUserRequest,
    DeleteDevicesRequest, DeleteReportResponse, ImportUsersRequest, ImportUsersResponse, ListAuditRequest,
    ListAuditResponse, ListDevicesResponse, ListRegistrationTokensRequest, ListRegistrationTokensResponse,
    ListReportsRequest, ListReportsResponse, ListUsersRequest, ListUsersResponse, METHODS, ReactivateUserRequest,
    RegistrationToken, Report, ReportRequest, ResetPasswordRequest, RevokeRegistrationTokenRequest,
    RevokeRegistrationTokenResponse, User, UserRequest,
    audit_server::{Audit, AuditServer},
    registration_tokens_server::{RegistrationTokens, RegistrationTokensServer},
    reports_server::{Reports, ReportsServer},
    users_server::{Users, UsersServer},
};
use matrixon_runtime::role::Role;
use tonic::{Request, Response, Status, service::RoutesBuilder};

use super::verify;
use crate::{
    admin::{import::import, log, registration_tokens, reports, users},
    audit::{Caller, Via},
    state::Auth,
};

/// Imports are the largest requests, in bytes.
const MAX_REQUEST: usize = 4 << 20;

/// A suspended administrator does not administer.
const ACCESS: Access = Access { guests: false, suspended: false, locked: false };

#[derive(Clone)]
struct Admin {
    auth: Auth,
    verifier: Verifier,
}

pub(super) fn add(routes: &mut RoutesBuilder, auth: Auth, verifier: Verifier) {
    let admin = Admin { auth, verifier };
    routes.add_service(UsersServer::new(admin.clone()));
    routes.add_service(RegistrationTokensServer::new(admin.clone()));
    routes.add_service(ReportsServer::new(admin.clone()));
    routes.add_service(AuditServer::new(admin));
}

/// For the gateway's table.
pub(crate) fn routes() -> Vec<RouteInfo> {
    let route = |path: &&str| RouteInfo {
        method: Method::POST,
        path: (*path).to_owned(),
        role: Role::Auth,
        auth: AuthKind::Admin,
        access: ACCESS,
        affinity: Affinity::None,
        limit: LimitClass::None,
        kind: RouteKind::Rpc,
        body_limit: MAX_REQUEST,
    };
    METHODS.iter().map(route).collect()
}

impl Admin {
    /// `M_MISSING_TOKEN`, `M_FORBIDDEN` ← nobody, or no administrator
    fn admit<Q>(&self, request: &Request<Q>) -> Result<Caller, MatrixError> {
        let assertion = verify(&self.verifier, request)?;
        let admin = AdminAuth::from_assertion(&assertion)?;
        if let AdminAuth::User(user) = &admin {
            ACCESS.check(user.standing)?;
        }
        let meta = RequestMeta {
            request_id: assertion.request_id,
            idempotency_key: assertion.idempotency_key,
            remote_addr: assertion.remote_addr,
            user_agent: None,
        };
        let via =
            if matches!(&admin, AdminAuth::Machine(name) if name.starts_with("cli:")) { Via::Cli } else { Via::Grpc };
        Ok(Caller::new(admin.name(), via, &meta))
    }

    #[tracing::instrument(name = "auth.rpc.admin", skip_all)]
    async fn serve<Q, R, Fut>(
        &self,
        request: Request<Q>,
        operation: impl FnOnce(Auth, Caller, Q) -> Fut + Send,
    ) -> Result<Response<R>, Status>
    where
        Q: Send,
        Fut: Future<Output = Result<R, MatrixError>> + Send,
    {
        let caller = self.admit(&request)?;
        Ok(Response::new(operation(self.auth.clone(), caller, request.into_inner()).await?))
    }
}

/// A gRPC service whose methods are operations.
macro_rules! operations {
    ($service:ident: $($method:ident($request:ty) -> $answer:ty = $operation:path;)+) => {
        #[tonic::async_trait]
        impl $service for Admin {
            $(
                async fn $method(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                    self.serve(request, $operation).await
                }
            )+
        }
    };
}

operations! { Users:
    list(ListUsersRequest) -> ListUsersResponse = users::list;
    get(UserRequest) -> User = users::get;
    create(CreateUserRequest) -> User = users::create;
    reset_password(ResetPasswordRequest) -> User = users::reset_password;
    promote(UserRequest) -> User = users::promote;
    demote(UserRequest) -> User = users::demote;
    lock(UserRequest) -> User = users::lock;
    unlock(UserRequest) -> User = users::unlock;
    suspend(UserRequest) -> User = users::suspend;
    unsuspend(UserRequest) -> User = users::unsuspend;
    deactivate(DeactivateUserRequest) -> User = users::deactivate;
    reactivate(ReactivateUserRequest) -> User = users::reactivate;
    erase(UserRequest) -> User = users::erase;
    delete(UserRequest) -> User = users::delete;
    logout(UserRequest) -> User = users::logout;
    list_devices(UserRequest) -> ListDevicesResponse = users::list_devices;
    delete_devices(DeleteDevicesRequest) -> ListDevicesResponse = users::delete_devices;
    import(ImportUsersRequest) -> ImportUsersResponse = import;
}

operations! { RegistrationTokens:
    list(ListRegistrationTokensRequest) -> ListRegistrationTokensResponse = registration_tokens::list;
    create(CreateRegistrationTokenRequest) -> RegistrationToken = registration_tokens::create;
    revoke(RevokeRegistrationTokenRequest) -> RevokeRegistrationTokenResponse = registration_tokens::revoke;
}

operations! { Reports:
    list(ListReportsRequest) -> ListReportsResponse = reports::list;
    get(ReportRequest) -> Report = reports::get;
    delete(ReportRequest) -> DeleteReportResponse = reports::delete;
}

operations! { Audit:
    list(ListAuditRequest) -> ListAuditResponse = log::list;
    head(AuditHeadRequest) -> AuditHead = log::head;
}

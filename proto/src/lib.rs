//! Protobuf messages and gRPC services of Matrixon, generated from `proto/<service>/v1/*.proto`.
//! Versions N and N-1 run side by side: fields are only ever added.
#![forbid(unsafe_code)]

pub mod admin {
    pub mod v1 {
        tonic::include_proto!("matrixon.admin.v1");

        /// The path of every method of this package.
        pub const METHODS: &[&str] = include!(concat!(env!("OUT_DIR"), "/admin_methods.rs"));
    }
}
pub mod auth {
    pub mod v1 {
        tonic::include_proto!("matrixon.auth.v1");
    }
}
pub mod bus {
    pub mod v1 {
        tonic::include_proto!("matrixon.bus.v1");
    }
}
pub mod error {
    pub mod v1 {
        tonic::include_proto!("matrixon.error.v1");
    }
}

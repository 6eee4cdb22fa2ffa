//! Variables of the environment that hold secrets. No service and no hook gets them.

/// Gives commands the secret of a supervisor on another host (as in Habitat).
pub const CTL_SECRET_ENV: &str = "HAB_CTL_SECRET";
/// Gives the HTTP gateway the token that it asks for on every route but the probes (as in Habitat).
pub const GATEWAY_TOKEN_ENV: &str = "HAB_SUP_GATEWAY_AUTH_TOKEN";

//! The variables of the environment that hold secrets. No service and no hook gets them.

/// Holds the secret of a supervisor on another host, for commands (as in Habitat).
pub const CTL_SECRET_ENV: &str = "HAB_CTL_SECRET";
/// Holds the key of the ring (as in Habitat).
pub const RING_KEY_ENV: &str = "HAB_RING_KEY";
/// Holds an invitation to a ring, with its secret.
pub const JOIN_ENV: &str = "ANNULUS_JOIN";
/// Holds the token that the HTTP gateway asks for on every route but the probes (as in Habitat).
pub const GATEWAY_TOKEN_ENV: &str = "HAB_SUP_GATEWAY_AUTH_TOKEN";

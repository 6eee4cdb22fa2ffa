//! Service groups as one table: a pure projection of membership and rumors.

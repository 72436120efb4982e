//! Preparation with the real uv, Python and plugin SDK.

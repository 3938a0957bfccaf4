//! Flight SQL through arrow-flight, as a Rust program would; see tests/.

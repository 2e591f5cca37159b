//! Tests in a real Kubernetes of one node.

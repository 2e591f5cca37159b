//! Translation of the backends to which SETs write.

use crds::HttpMethod;
use sidecar_config::{ConfigMapWrite, HttpWrite, Length, Range, Write, WriteKind, WriteMethod};

use super::{
    endpoint::HttpLocation,
    refusal::{FieldRefusal, Reason},
    translation::Translation,
};

impl Translation {
    /// Translates the `write` part of the scalar at `path`.
    pub(super) fn write(&mut self, path: &str, scalar: &crds::Scalar) -> Option<Write> {
        let write = scalar.write.as_ref()?;
        let kind = match (&write.http, &write.config_map) {
            (Some(http), None) => WriteKind::Http(Box::new(self.http_write(&format!("{path}.write.http"), http))),
            (None, Some(key)) => {
                WriteKind::ConfigMap(ConfigMapWrite { name: key.name.0.clone(), key: key.key.0.clone() })
            }
            _ => {
                let message = "exactly one of http and configMap must be set";
                self.refusals.push(FieldRefusal::new(Reason::Invalid, format!("{path}.write"), message));
                return None;
            }
        };
        Some(Write {
            range: scalar.object.range.map(|crds::Range { min, max }| Range { min, max }),
            length: scalar.object.length.map(|crds::Length { min, max }| Length {
                // The schema requires both to be at least 0.
                min: u32::try_from(min).unwrap_or(0),
                max: u32::try_from(max).unwrap_or(0),
            }),
            pattern: scalar.pattern.as_ref().map(|pattern| pattern.0.clone()),
            kind,
        })
    }

    fn http_write(&mut self, path: &str, http: &crds::HttpWrite) -> HttpWrite {
        let location = HttpLocation {
            port: Some(&http.port),
            scheme: http.scheme,
            path: &http.path,
            url: None,
            authorization: http.authorization.as_ref(),
            basic_auth: None,
            tls_config: http.tls_config.as_ref(),
        };
        HttpWrite {
            endpoint: self.endpoint(path, &location),
            method: match http.method {
                HttpMethod::Put => WriteMethod::Put,
                HttpMethod::Post => WriteMethod::Post,
                HttpMethod::Patch => WriteMethod::Patch,
            },
            body: http.body.as_ref().map(|body| body.0.clone()),
        }
    }
}

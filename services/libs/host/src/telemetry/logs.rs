//! Log lines on standard output: JSON for machines, text for people, both with trace ids.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// Formats one event as one line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines(pub(super) LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = jiff::Timestamp::now();
        let metadata = event.metadata();
        // tracing-opentelemetry makes the span that is entered the current one.
        let context = opentelemetry::Context::current();
        let span = context.span().span_context().clone();
        let Fields { message, mut rest } = fields;
        match self.0 {
            LogFormat::Json => {
                let mut line = Map::new();
                line.insert("time".into(), format!("{time:.3}").into());
                line.insert("level".into(), metadata.level().as_str().into());
                line.insert("message".into(), message.into());
                line.insert("target".into(), metadata.target().into());
                if span.is_valid() {
                    line.insert("trace_id".into(), span.trace_id().to_string().into());
                    line.insert("span_id".into(), span.span_id().to_string().into());
                }
                line.append(&mut rest);
                writeln!(writer, "{}", Value::Object(line))
            }
            LogFormat::Text => {
                write!(writer, "{time:.3} {:5} {}: {message}", metadata.level(), metadata.target())?;
                for (key, value) in &rest {
                    match value {
                        Value::String(text) if !text.contains(char::is_whitespace) => {
                            write!(writer, " {key}={text}")?;
                        }
                        value => write!(writer, " {key}={value}")?,
                    }
                }
                if span.is_valid() {
                    write!(writer, " trace_id={}", span.trace_id())?;
                }
                writeln!(writer)
            }
        }
    }
}

/// The fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::error::chain(value).into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use mlp_model::Secret;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What one event inside of a span looks like.
    fn line(format: LogFormat) -> String {
        let (buffer, provider) = (Buffer::default(), SdkTracerProvider::builder().build());
        let writer = buffer.clone();
        let lines =
            tracing_subscriber::fmt::layer().event_format(Lines(format)).with_writer(move || writer.clone());
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(spans).with(lines), || {
            let _entered = tracing::info_span!("work").entered();
            let (token, name) = (Secret::new("hunter2"), "two words");
            tracing::warn!(team = "ml", pods = 3, ready = false, name, %token, "quota \"near\" its end");
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_have_typed_fields_and_trace_ids_and_no_secret() {
        let line = line(LogFormat::Json);
        assert_eq!(line.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], "quota \"near\" its end");
        assert_eq!((&read["level"], &read["team"]), (&"WARN".into(), &"ml".into()));
        assert_eq!((&read["pods"], &read["ready"]), (&3.into(), &false.into()));
        assert_eq!(read["token"], "[redacted]");
        assert_eq!(read["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(read["span_id"].as_str().unwrap().len(), 16);
        assert!(read["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn text_lines_are_for_people_and_carry_the_trace_id_too() {
        let line = line(LogFormat::Text);
        let expected = ": quota \"near\" its end name=\"two words\" pods=3 ready=false team=ml token=[redacted] trace_id=";
        assert!(line.contains(expected) && line.contains(" WARN "), "{line}");
    }
}

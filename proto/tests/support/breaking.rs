//! Buf's FILE-breaking rules, as far as these contracts use protobuf: what was there stays where it
//! was, with its name, number, type and cardinality; what goes leaves its number and name reserved.

use std::collections::BTreeMap;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

/// What the new set breaks of the old, one line each.
pub(crate) fn check(old: &FileDescriptorSet, new: &FileDescriptorSet) -> Vec<String> {
    let mut breaks = vec![];
    let files: BTreeMap<_, _> = new.file.iter().map(|file| (file.name(), file)).collect();
    for was in old.file.iter().filter(|file| file.package().starts_with("mlp.")) {
        let Some(is) = files.get(was.name()) else {
            breaks.push(format!("{}: the file is gone", was.name()));
            continue;
        };
        if was.package() != is.package() {
            breaks.push(format!("{}: the package changed to {}", was.name(), is.package()));
        }
        messages(was.package(), &was.message_type, &is.message_type, &mut breaks);
        enums(was.package(), &was.enum_type, &is.enum_type, &mut breaks);
        services(was.package(), &was.service, &is.service, &mut breaks);
    }
    breaks
}

fn messages(scope: &str, old: &[DescriptorProto], new: &[DescriptorProto], breaks: &mut Vec<String>) {
    for was in old {
        let path = format!("{scope}.{}", was.name());
        let Some(is) = new.iter().find(|message| message.name() == was.name()) else {
            breaks.push(format!("{path}: the message is gone"));
            continue;
        };
        fields(&path, was, is, breaks);
        messages(&path, &was.nested_type, &is.nested_type, breaks);
        enums(&path, &was.enum_type, &is.enum_type, breaks);
        for name in was.reserved_name.iter().filter(|name| !is.reserved_name.contains(name)) {
            breaks.push(format!("{path}: `{name}` is no longer reserved"));
        }
    }
}

fn fields(path: &str, was: &DescriptorProto, is: &DescriptorProto, breaks: &mut Vec<String>) {
    let reserved =
        |number: i32| is.reserved_range.iter().any(|range| (range.start()..range.end()).contains(&number));
    for old in &was.field {
        let number = old.number();
        let Some(new) = is.field.iter().find(|field| field.number() == number) else {
            if !reserved(number) || !is.reserved_name.iter().any(|name| name == old.name()) {
                breaks.push(format!("{path}.{}: the field is gone and {number} is not reserved", old.name()));
            }
            continue;
        };
        if shape(old, was) != shape(new, is) {
            let (before, after) = (shape(old, was), shape(new, is));
            breaks.push(format!("{path}.{}: field {number} was {before:?} and is {after:?}", old.name()));
        }
    }
}

/// What a user of a field relies on: name, type, cardinality and oneof.
fn shape(field: &FieldDescriptorProto, message: &DescriptorProto) -> (String, i32, String, i32, String) {
    let oneof = field.oneof_index.and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
    let oneof = oneof.map(|oneof| oneof.name().to_owned()).unwrap_or_default();
    (
        field.name().to_owned(),
        field.r#type.unwrap_or_default(),
        field.type_name().to_owned(),
        field.label.unwrap_or_default(),
        oneof,
    )
}

fn enums(scope: &str, old: &[EnumDescriptorProto], new: &[EnumDescriptorProto], breaks: &mut Vec<String>) {
    for was in old {
        let path = format!("{scope}.{}", was.name());
        let Some(is) = new.iter().find(|one| one.name() == was.name()) else {
            breaks.push(format!("{path}: the enum is gone"));
            continue;
        };
        for value in &was.value {
            let kept = is.value.iter().any(|v| v.number() == value.number() && v.name() == value.name());
            if !kept {
                breaks.push(format!("{path}.{}: the value is gone or renumbered", value.name()));
            }
        }
    }
}

fn services(
    scope: &str,
    old: &[ServiceDescriptorProto],
    new: &[ServiceDescriptorProto],
    breaks: &mut Vec<String>,
) {
    for was in old {
        let path = format!("{scope}.{}", was.name());
        let Some(is) = new.iter().find(|service| service.name() == was.name()) else {
            breaks.push(format!("{path}: the service is gone"));
            continue;
        };
        for method in &was.method {
            let same = is.method.iter().any(|m| {
                (m.name(), m.input_type(), m.output_type(), m.client_streaming(), m.server_streaming())
                    == (
                        method.name(),
                        method.input_type(),
                        method.output_type(),
                        method.client_streaming(),
                        method.server_streaming(),
                    )
            });
            if !same {
                breaks.push(format!("{path}.{}: the method is gone or changed", method.name()));
            }
        }
    }
}

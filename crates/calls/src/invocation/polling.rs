//! A call whose answer is one document: the last chunk counts (http-api 5.4).

use plugin_protocol::ErrorObject;
use plugin_protocol::chunk::polling_result;
use serde_json::value::RawValue;

use super::{CallError, Invocation};

/// Waits for the end of the call.
pub async fn final_result(mut call: Invocation) -> Result<Box<RawValue>, CallError> {
    let mut last = None;
    while let Some(chunk) = call.next().await {
        last = Some(match polling_result(&chunk?) {
            Ok(result) => result,
            Err(problems) => return Err(call.malformed(problems)),
        });
    }
    last.ok_or_else(|| CallError::Answer(ErrorObject::no_polling_result()))
}

//! A list, page by page: what is not kept of an object is let go of before the next page is read.

use kube::api::ListParams;
use kube::core::ObjectList;

/// What `keep` makes of each object of a list. `params` bound a page; `ask` reads one.
///
/// # Errors
/// What `ask` met; what was read until then is lost.
pub async fn pages<T, U, F>(
    params: ListParams,
    mut ask: impl FnMut(ListParams) -> F,
    mut keep: impl FnMut(T) -> Option<U>,
) -> Result<Vec<U>, kube::Error>
where
    T: Clone,
    F: Future<Output = Result<ObjectList<T>, kube::Error>>,
{
    let (mut page, mut kept) = (params.clone(), Vec::new());
    loop {
        let listed = ask(page).await?;
        kept.extend(listed.items.into_iter().filter_map(&mut keep));
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = params.clone().continue_token(&token),
            None => return Ok(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn every_page_is_asked_for_with_the_same_selection_and_the_token_of_the_one_before() {
        let mut asked = Vec::new();
        let ask = |params: ListParams| {
            let next = if params.continue_token.is_some() { "" } else { "second" };
            asked.push((params.label_selector.clone(), params.limit, params.continue_token.clone()));
            let items = [json!({"metadata": {"name": "a"}}), json!({"metadata": {"name": "b"}})];
            let list =
                json!({"apiVersion": "v1", "kind": "List", "metadata": {"continue": next}, "items": items});
            std::future::ready(Ok(serde_json::from_value(list).unwrap()))
        };
        let name = |map: ConfigMap| map.metadata.name.filter(|name| name == "b");
        let kept = pages(ListParams::default().labels("x=y").limit(2), ask, name).await.unwrap();
        assert_eq!(kept, ["b", "b"]);
        let selected = |token: Option<&str>| (Some("x=y".to_owned()), Some(2), token.map(str::to_owned));
        assert_eq!(asked, [selected(None), selected(Some("second"))]);
    }
}

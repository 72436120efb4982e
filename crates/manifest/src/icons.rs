//! The icons a declaration names (package-format 14).

use crate::{Declaration, I18n};

/// One icon of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icon<'a> {
    /// Which icon it is, as messages call it: `tool icon dark`, `model icon small en_US`.
    pub place: String,
    /// The field of the declaration, such as `tool.identity.icon`.
    pub field: String,
    /// Path below `_assets`, or the asset's id once stored; never empty.
    pub name: &'a str,
}

/// An icon that could not be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}\nfailed to remap {place}")]
pub struct RemapError<E: std::fmt::Display> {
    pub place: String,
    pub cause: E,
}

/// Lists the icon fields of a declaration, by reference or, with `mut`, to be changed, in the order in which they are
/// stored.
macro_rules! icons {
    ($declaration:expr $(, $mutable:tt)?) => {{
        let declaration = $declaration;
        let mut icons = Vec::new();
        if let Some(model) = &$($mutable)? declaration.model {
            for (kind, field, texts) in [
                ("small", "icon_small", &$($mutable)? model.icon_small),
                ("large", "icon_large", &$($mutable)? model.icon_large),
                ("small dark", "icon_small_dark", &$($mutable)? model.icon_small_dark),
                ("large dark", "icon_large_dark", &$($mutable)? model.icon_large_dark),
            ] {
                let Some(I18n { en_us, zh_hans, ja_jp, pt_br }) = texts else { continue };
                for (language, name) in [("en_US", en_us), ("zh_Hans", zh_hans), ("ja_JP", ja_jp), ("pt_BR", pt_br)] {
                    icons.push((format!("model icon {kind} {language}"), format!("model.{field}.{language}"), name));
                }
            }
        }
        if let Some(tool) = &$($mutable)? declaration.tool {
            icons.push(("tool icon".to_owned(), "tool.identity.icon".to_owned(), &$($mutable)? tool.identity.icon));
            icons.push(("tool icon dark".to_owned(), "tool.identity.icon_dark".to_owned(), &$($mutable)? tool.identity.icon_dark));
        }
        if let Some(agent) = &$($mutable)? declaration.agent_strategy {
            icons.push(("agent icon".to_owned(), "agent_strategy.identity.icon".to_owned(), &$($mutable)? agent.identity.icon));
            icons.push(("agent icon dark".to_owned(), "agent_strategy.identity.icon_dark".to_owned(), &$($mutable)? agent.identity.icon_dark));
        }
        if let Some(provider) = &$($mutable)? declaration.datasource {
            icons.push(("datasource icon".to_owned(), "datasource.identity.icon".to_owned(), &$($mutable)? provider.identity.icon));
            for (index, datasource) in (&$($mutable)? provider.datasources).into_iter().enumerate() {
                let field = format!("datasource.datasources[{index}].identity.icon");
                icons.push(("datasource step icon".to_owned(), field, &$($mutable)? datasource.identity.icon));
            }
        }
        if let Some(trigger) = &$($mutable)? declaration.trigger {
            icons.push(("trigger icon".to_owned(), "trigger.identity.icon".to_owned(), &$($mutable)? trigger.identity.icon));
            icons.push(("trigger icon dark".to_owned(), "trigger.identity.icon_dark".to_owned(), &$($mutable)? trigger.identity.icon_dark));
        }
        icons.push(("plugin icon".to_owned(), "icon".to_owned(), &$($mutable)? declaration.icon));
        icons.push(("plugin dark icon".to_owned(), "icon_dark".to_owned(), &$($mutable)? declaration.icon_dark));
        icons.retain(|(.., name)| !name.is_empty());
        icons
    }};
}

impl Declaration {
    /// The icons the plugin names, in the order in which they are stored.
    pub fn icons(&self) -> Vec<Icon<'_>> {
        icons!(self).into_iter().map(|(place, field, name)| Icon { place, field, name }).collect()
    }

    /// Replaces the name of every icon, in the order in which they are stored: of a package by the ids of stored assets.
    ///
    /// # Errors
    ///
    /// The first error of `replace`, with the icon it is about; icons before it are replaced already.
    pub fn remap_icons<E: std::fmt::Display>(
        &mut self,
        mut replace: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<(), RemapError<E>> {
        for (place, _, name) in icons!(self, mut) {
            *name = replace(name).map_err(|cause| RemapError { place, cause })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaration() -> Declaration {
        let json = serde_json::json!({
            "icon": "p", "icon_dark": "pd",
            "model": {
                "icon_small": {"en_US": "se", "zh_Hans": "sz", "ja_JP": "sj", "pt_BR": "sp"},
                "icon_large": {"en_US": "le"},
                "icon_small_dark": {"en_US": "sde"},
                "icon_large_dark": {"pt_BR": "ldp"},
            },
            "tool": {"identity": {"icon": "t", "icon_dark": "td"}},
            "agent_strategy": {"identity": {"icon": "a", "icon_dark": ""}},
            "datasource": {"identity": {"icon": "d"}, "datasources": [{"identity": {"icon": "d0"}}, {"identity": {}}]},
            "trigger": {"identity": {"icon": "g", "icon_dark": "gd"}},
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn order_and_places() {
        let declaration = declaration();
        let icons: Vec<String> =
            declaration.icons().into_iter().map(|icon| format!("{}={}", icon.place, icon.name)).collect();
        insta::assert_snapshot!(icons.join("\n"), @r"
        model icon small en_US=se
        model icon small zh_Hans=sz
        model icon small ja_JP=sj
        model icon small pt_BR=sp
        model icon large en_US=le
        model icon small dark en_US=sde
        model icon large dark pt_BR=ldp
        tool icon=t
        tool icon dark=td
        agent icon=a
        datasource icon=d
        datasource step icon=d0
        trigger icon=g
        trigger icon dark=gd
        plugin icon=p
        plugin dark icon=pd
        ");
    }

    #[test]
    fn remapping() {
        let mut declaration = declaration();
        declaration.remap_icons(|name| Ok::<_, String>(format!("{name}!"))).unwrap();
        assert!(declaration.icons().iter().all(|icon| icon.name.ends_with('!')));
        assert_eq!(declaration.agent_strategy.unwrap().identity.icon_dark, "");
    }

    #[test]
    fn the_failing_icon_is_named() {
        let error = declaration()
            .remap_icons(|name| match name {
                "td" => Err(format!("file not found: {name}")),
                _ => Ok(String::new()),
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "file not found: td\nfailed to remap tool icon dark");
    }
}

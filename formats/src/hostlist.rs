//! Hostlists such as `gpu[001-008]`, expanded; bounded before anything is allocated.

use std::collections::BTreeSet;

use model::site::NODES_MAX;
use nodeset::{NodeSet, Parser};

/// Nine digits fit into 32 bits.
const NUMBER_DIGITS_MAX: usize = 9;

/// The names of a hostlist, each once, in the order of the hostlist crate (by number).
pub(crate) fn expand(list: &str) -> Result<Vec<String>, String> {
    let plain = !list.contains(['[', ',', ' ', '&', '!', '^', '(', '@', '\t']);
    if plain && !list.is_empty() {
        return Ok(vec![list.to_owned()]);
    }
    if list.contains('@') {
        return Err("groups with @ are not known here".to_owned());
    }
    if widest(list) > NODES_MAX as u128 {
        return Err(format!("more than {NODES_MAX} names"));
    }
    if has_bare_range(list) {
        return Err("a range of numbers needs brackets: node[2-11]".to_owned());
    }
    if has_long_number(list) {
        if !list.contains(['[', ']', '&', '!', '^', '(']) {
            // Serial numbers as names, one by one.
            let names = list.split([',', ' ', '\t']).filter(|name| !name.is_empty());
            return Ok(names.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect());
        }
        return Err("numbers of this length are not counted here".to_owned());
    }
    let set: NodeSet = Parser::default().parse(list).map_err(|error| error.to_string())?;
    let names: Vec<String> = set.iter().collect();
    if names.is_empty() { Err("no name in it".to_owned()) } else { Ok(names) }
}

/// Names as a hostlist: `gpu[001-008]`. Names that are no hostlist stand as they are, and so do
/// those whose list would be read as others: names of digits alone fold to a name with a dash.
#[must_use]
pub fn fold(names: &[&str]) -> String {
    let joined = names.join(",");
    // Names come from others: one that reads as a range could be millions of them.
    let is_name = |letter: char| letter.is_alphanumeric() || "-._".contains(letter);
    let are_names = names.iter().all(|name| name.chars().all(is_name));
    if !are_names || has_bare_range(&joined) || has_long_number(&joined) {
        return joined;
    }
    let folded: Option<NodeSet> = Parser::default().parse(&joined).ok();
    let folded = folded.filter(|set| set.len() == names.len()).map(|set| set.to_string());
    let same = |list: &String| {
        let read = expand(list).unwrap_or_default();
        let read: BTreeSet<&str> = read.iter().map(String::as_str).collect();
        read == names.iter().copied().collect()
    };
    folded.filter(same).unwrap_or(joined)
}

/// Whether a term is a range of numbers without a name or brackets, which the hostlist crate
/// expands however wide it is.
fn has_bare_range(list: &str) -> bool {
    let is_range = |term: &str| {
        let bare = term.chars().all(|letter| letter.is_ascii_digit() || "-/".contains(letter));
        bare && term.contains('-')
    };
    let mut depth = 0_u32;
    let outside: String = list
        .chars()
        .map(|letter| {
            depth = match letter {
                '[' => depth + 1,
                ']' => depth.saturating_sub(1),
                _ => depth,
            };
            // What is in brackets makes its term more than a bare range.
            if depth > 0 || letter == ']' { 'x' } else { letter }
        })
        .collect();
    outside.split([',', ' ', '\t', '\n', '\r', '&', '!', '^', '(', ')']).any(is_range)
}

/// Whether a number has so many digits, those behind a bracket counted with those in it, that the
/// hostlist crate's 32 bits could overflow.
fn has_long_number(list: &str) -> bool {
    let mut digits = 0;
    let mut longest = 0;
    let mut behind = 0;
    for letter in list.chars() {
        match letter {
            '0'..='9' => digits += 1,
            // What stands behind a bracket is appended to the numbers in it.
            ']' => (behind, digits) = (behind.max(digits), 0),
            '-' | '/' | ',' if behind == 0 => digits = 0,
            _ => (digits, behind) = (0, 0),
        }
        longest = longest.max(digits + behind);
    }
    longest > NUMBER_DIGITS_MAX
}

/// An upper bound of the names in a hostlist: the product of its brackets for each term.
fn widest(list: &str) -> u128 {
    let mut total: u128 = 0;
    let mut product: u128 = 1;
    let mut rest = list;
    while let Some(open) = rest.find('[') {
        let before = &rest[..open];
        if before.contains([',', ' ', '&', '!', '^', '(']) {
            total = total.saturating_add(product);
            product = 1;
        }
        let close = rest[open..].find(']').map_or(rest.len(), |close| open + close);
        let inside: u128 =
            rest[open + 1..close].split(',').map(width).fold(0, u128::saturating_add);
        product = product.saturating_mul(inside.max(1));
        rest = rest.get(close + 1..).unwrap_or_default();
    }
    total.saturating_add(product)
}

/// Names of one range `first-last[/step]`; the step is ignored, this is a bound.
fn width(range: &str) -> u128 {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |digits: &str| {
        let digits: String = digits.trim().chars().take_while(char::is_ascii_digit).collect();
        if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u128::MAX) }
    };
    number(last).saturating_sub(number(first)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_kept() {
        assert_eq!(expand("gpu[008-010]").unwrap(), ["gpu008", "gpu009", "gpu010"]);
        assert_eq!(expand("gpu[8-10]").unwrap(), ["gpu8", "gpu9", "gpu10"]);
    }

    #[test]
    fn names_fold_and_come_back() {
        assert_eq!(fold(&["gpu001", "gpu002", "gpu003", "gpu008"]), "gpu[001-003,008]");
        assert_eq!(fold(&["login.example"]), "login.example");
        assert_eq!(fold(&[]), "");
        let names = expand("r[1-3]n[01-12],login").unwrap();
        let folded = fold(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut back = expand(&folded).unwrap();
        back.sort();
        let mut names = names;
        names.sort();
        assert_eq!(back, names);
    }

    #[test]
    fn products_lists_and_single_names() {
        assert_eq!(expand("r[1-2]n[1-2]").unwrap().len(), 4);
        assert_eq!(expand("a1,b[1-2]").unwrap().len(), 3);
        assert_eq!(expand("login.example").unwrap(), ["login.example"]);
        assert_eq!(expand("a[1-2],a2").unwrap().len(), 2);
    }

    #[test]
    fn too_many_names_are_refused_before_they_are_made() {
        assert!(expand("gpu[0-4000000000]").unwrap_err().contains("more than"));
        assert!(expand("g[1-9999]x[1-9999]").unwrap_err().contains("more than"));
        assert!(expand("g[0-99999],h[0-99999]").unwrap_err().contains("more than"));
        assert!(expand("g[0-99999999999999999999999999999999999999999999]").is_err());
    }

    #[test]
    fn a_range_without_a_name_is_no_list_and_makes_no_millions() {
        assert!(expand("2-11000000,a").unwrap_err().contains("node[2-11]"));
        assert_eq!(expand("g[1-2,4-5,7-8],n1").unwrap().len(), 7);
        assert_eq!(fold(&["2-11000000", "21"]), "2-11000000,21");
        assert_eq!(fold(&["a", "4-5"]), "a,4-5");
        assert_eq!(fold(&["4", "5"]), "4,5");
        assert_eq!(fold(&["a[0-99999999]", "b"]), "a[0-99999999],b");
        // Found by a fuzzer: an overflow in the hostlist crate.
        assert!(expand("join11[0]1022222222,a").unwrap_err().contains("length"));
        assert_eq!(expand("s1234567890123,b,b").unwrap(), ["b", "s1234567890123"]);
        let long = "900join11[0]1022bab.1+0079+007900join11bab.1+0079001[8]102222222r21[0]10";
        assert_eq!(fold(&[long, "a"]), format!("{long},a"));
        assert_eq!(fold(&["n1234567890", "n1234567891"]), "n1234567890,n1234567891");
    }

    #[test]
    fn nonsense_is_refused() {
        for nonsense in ["", "gpu[", "gpu[1-", "gpu[a-b]", "@all", "gpu[5-1]", ",", "a,,b"] {
            assert!(expand(nonsense).is_err(), "{nonsense}");
        }
    }
}

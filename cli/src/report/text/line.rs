//! Lines: a page that wraps, and numbers with the digits that mean something.

/// Columns of a terminal that nobody has widened.
pub(in crate::report) const WIDTH: usize = 80;
/// Text beside a label keeps at least this width, however long the label is.
const LEAST_TEXT: usize = 20;

/// Text in the making.
#[derive(Default)]
pub(in crate::report) struct Page {
    text: String,
}

impl Page {
    /// A label with a text beside it; further lines hang below the text.
    pub(in crate::report) fn item(&mut self, label: &str, text: &str) {
        let indent = label.chars().count();
        let room = WIDTH.saturating_sub(indent).max(LEAST_TEXT);
        let mut start = label.to_owned();
        for line in wrap(text, room) {
            self.line(&format!("{start}{line}"));
            start = " ".repeat(indent);
        }
    }

    pub(in crate::report) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    pub(in crate::report) fn blank(&mut self) {
        self.line("");
    }

    pub(in crate::report) fn finish(self) -> String {
        self.text
    }
}

/// Breaks at spaces; a word longer than a line stands alone and whole, because paths and
/// ids are copied.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // What agents say is printed as it is, but must not move the cursor.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    for word in text.split(' ') {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > room {
            lines.push(word.to_owned());
        } else if let Some(last) = lines.last_mut() {
            if line > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// Four significant digits above one, three decimals below.
pub(in crate::report) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_hangs_below_its_label_and_long_words_stay_whole() {
        let mut page = Page::default();
        page.item("LABEL  ", &format!("one two {} three", "x".repeat(90)));
        let long = format!("LABEL  one two\n       {}\n       three\n", "x".repeat(90));
        assert_eq!(page.finish(), long);
    }

    #[test]
    fn agents_can_not_move_the_cursor() {
        let mut page = Page::default();
        page.item("", "a\u{1b}[2Jb\nc");
        assert_eq!(page.finish(), "a [2Jb c\n");
    }

    #[test]
    fn digits_fit_the_size() {
        let numbers = [12_345.6, 123.45, 12.345, 1.2345, 0.0].map(number);
        assert_eq!(numbers, ["12346", "123.5", "12.35", "1.234", "0.000"]);
    }
}

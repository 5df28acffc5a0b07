//! Tables: aligned columns that never leave the page.

use super::line::{Page, WIDTH};

/// More rows than one screen holds beside the rest.
pub(in crate::report) const ROWS_SHOWN: usize = 16;

/// Rows of named cells under headings of two lines.
pub(in crate::report) struct Table {
    pub(in crate::report) title: String,
    /// Upper and lower line of each column's heading.
    pub(in crate::report) columns: Vec<(String, String)>,
    pub(in crate::report) rows: Vec<(String, Vec<Option<String>>)>,
    /// What a row is, in the plural: for the line that stands for rows not shown.
    pub(in crate::report) of: &'static str,
}

impl Table {
    pub(in crate::report) fn write(&self, page: &mut Page) {
        if self.rows.is_empty() || self.columns.is_empty() {
            return;
        }
        page.blank();
        let shown = self.rows.len().min(ROWS_SHOWN);
        let labels = self.rows[..shown].iter().map(|(label, _)| label.chars().count());
        let label = labels.max().unwrap_or(0);
        let mut title = self.title.as_str();
        for group in self.groups(label, shown) {
            if !title.is_empty() {
                page.item("  ", title);
            }
            title = "";
            self.write_group(page, group, label, shown);
        }
        if self.rows.len() > shown {
            let more = self.rows.len() - shown;
            page.line(&format!("    and {more} more {}: see the JSON report", self.of));
        }
    }

    fn write_group(
        &self,
        page: &mut Page,
        group: std::ops::Range<usize>,
        label: usize,
        shown: usize,
    ) {
        let line = |name: &str, cells: &dyn Fn(usize) -> String| {
            let mut line = format!("    {name:<label$}");
            for column in group.clone() {
                line += &format!("  {:>width$}", cells(column), width = self.width(column, shown));
            }
            line
        };
        page.line(&line("", &|column| self.columns[column].0.clone()));
        if group.clone().any(|column| !self.columns[column].1.is_empty()) {
            page.line(&line("", &|column| self.columns[column].1.clone()));
        }
        for (name, cells) in &self.rows[..shown] {
            let cell = |column: usize| cells.get(column).cloned().flatten();
            page.line(&line(name, &|column| cell(column).unwrap_or_else(|| "-".to_owned())));
        }
    }

    /// Columns that fit beside the labels, as many as go, at least one.
    fn groups(&self, label: usize, shown: usize) -> Vec<std::ops::Range<usize>> {
        let mut groups = Vec::new();
        let (mut first, mut used) = (0, 4 + label);
        for column in 0..self.columns.len() {
            let width = self.width(column, shown) + 2;
            if used + width > WIDTH && column > first {
                groups.push(first..column);
                (first, used) = (column, 4 + label);
            }
            used += width;
        }
        groups.push(first..self.columns.len());
        groups
    }

    fn width(&self, column: usize, shown: usize) -> usize {
        let (upper, lower) = &self.columns[column];
        let cells = self.rows[..shown].iter().filter_map(|(_, cells)| cells.get(column)?.as_ref());
        let cells = cells.map(|cell| cell.chars().count()).max().unwrap_or(1);
        cells.max(upper.chars().count()).max(lower.chars().count())
    }
}

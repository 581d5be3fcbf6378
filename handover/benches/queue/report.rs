//! Tables and text, printed as they come and kept for the Markdown file.

pub struct Table {
    pub title: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// So many columns are aligned to the left, the others to the right.
    pub left: usize,
}

impl Table {
    pub fn new<H: Into<String>>(title: impl Into<String>, head: impl IntoIterator<Item = H>) -> Table {
        Table { title: title.into(), head: head.into_iter().map(Into::into).collect(), rows: Vec::new(), left: 1 }
    }

    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let row: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert_eq!(row.len(), self.head.len(), "{}: a cell for each column", self.title);
        self.rows.push(row);
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.head).chain(&self.rows)
    }

    fn plain(&self) -> String {
        let width = |column: usize| self.lines().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = format!("\n{}\n", self.title);
        for line in self.lines() {
            let mut row = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let cell = if column < self.left { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                row = row + "  " + &cell;
            }
            text = text + row.trim_end() + "\n";
        }
        text
    }

    fn markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let columns = "---|".repeat(self.left) + &"--:|".repeat(self.head.len() - self.left);
        let mut text = format!("### {}\n\n{}|{columns}\n", self.title, row(&self.head));
        text.extend(self.rows.iter().map(|cells| row(cells)));
        text
    }
}

#[derive(Default)]
pub struct Report {
    pub markdown: Vec<String>,
}

impl Report {
    pub fn text(&mut self, text: &str) {
        println!("\n{text}");
        self.markdown.push(format!("{text}\n"));
    }

    pub fn table(&mut self, table: &Table) {
        print!("{}", table.plain());
        self.markdown.push(table.markdown());
    }

    /// Things about each of which there is a list of others.
    pub fn list(&mut self, title: &str, entries: &[(&str, String)]) {
        println!("\n{title}");
        let mut text = format!("### {title}\n\n");
        for (name, about) in entries {
            println!("  {name}\n    {about}");
            text += &format!("- {name}: {about}\n");
        }
        self.markdown.push(text);
    }

    pub fn markdown(&self) -> String {
        self.markdown.join("\n")
    }
}

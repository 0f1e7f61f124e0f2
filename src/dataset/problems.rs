//! Lists of like problems that stay readable when there are thousands of them.

/// How many an error lists.
const LISTED: usize = 5;

/// A list of like problems that stays readable with thousands of them.
#[derive(Default)]
pub(super) struct Problems {
    list: Vec<String>,
    more: usize,
}

impl Problems {
    pub(super) fn push(&mut self, problem: String) {
        if self.list.len() < LISTED {
            self.list.push(problem)
        } else {
            self.more += 1
        }
    }

    /// The first few, and how many more there were.
    pub(super) fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.list.push(format!("… and {} more", self.more));
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_listed_and_the_rest_is_counted() {
        let mut problems = Problems::default();
        (0..7).for_each(|number| problems.push(number.to_string()));
        assert_eq!(problems.finish(), ["0", "1", "2", "3", "4", "… and 2 more"]);
    }
}

//! A seed whose case begins with an image from outside: it carries the image, so that it runs where the file is not.

use super::SeedFile;
use crate::base::error::Result;
use crate::run::case_image;

impl SeedFile {
    /// Lets the case carry the image from outside with which it begins, if it does. Returns what is to be said of it.
    pub fn carry(&mut self, keeps_data: bool) -> Result<&'static str> {
        let Some(case) = self.case.as_mut().filter(|case| case.from.is_some()) else {
            return Ok("");
        };
        case_image::carry(case, keeps_data)?;
        // Where the image was is nobody's business, and the drawn case begins with the file itself.
        let drawn = self.seen.as_mut().and_then(|seen| seen.drawn.as_mut());
        if let Some(from) = drawn.and_then(|drawn| drawn.case.from.as_mut()) {
            from.path = from.path.file_name().unwrap_or_default().into();
        }
        Ok(match keeps_data {
            true => "it carries its image with all of its data\n",
            false => "it carries its image; guest data are replaced\n",
        })
    }
}

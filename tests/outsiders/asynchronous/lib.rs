//! A reader of raw images with tokio.

use std::io::SeekFrom;
use std::path::Path;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, Result};

pub struct Image {
    file: File,
    pub size: u64,
    there: u64,
}

impl Image {
    pub async fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).await?;
        let there = file.metadata().await?.len();
        // A guest sees whole sectors.
        let size = there.next_multiple_of(512);
        Ok(Self { file, size, there })
    }

    pub async fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let there = self.there.saturating_sub(offset) as usize;
        let there = there.min(buffer.len());
        buffer[there..].fill(0);
        self.file.seek(SeekFrom::Start(offset)).await?;
        self.file.read_exact(&mut buffer[..there]).await?;
        Ok(())
    }
}

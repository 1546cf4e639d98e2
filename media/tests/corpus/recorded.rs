//! The files of the corpus and the datagrams in them.

use std::path::{Path, PathBuf};

/// Files of a folder that hold media.
pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_none_or(|extension| extension != "md" && extension != "sdp")
        {
            files.push(path);
        }
    }
}

/// UDP payloads of a little-endian pcap file over Ethernet and IPv4.
pub(crate) fn udp_datagrams(octets: &[u8]) -> Vec<&[u8]> {
    let mut datagrams = Vec::new();
    let mut rest = octets.get(24..).unwrap_or_default();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let size = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let Some((frame, after)) = after.split_at_checked(size as usize) else {
            break;
        };
        rest = after;
        datagrams.extend(frame.get(14..).and_then(udp_payload));
    }
    datagrams
}

fn udp_payload(ip: &[u8]) -> Option<&[u8]> {
    let fixed: &[u8; 20] = ip.first_chunk()?;
    let udp = ip.get(usize::from(fixed[0] & 0x0f) * 4..)?;
    let header: &[u8; 8] = udp.first_chunk()?;
    let size = usize::from(u16::from_be_bytes([header[4], header[5]]));
    (fixed[0] >> 4 == 4 && fixed[9] == 17).then(|| udp.get(8..size))?
}

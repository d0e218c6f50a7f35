"""What tests share: servers, runners, consumers."""

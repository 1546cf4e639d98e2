-- How the media of a leg was protected: suites of SRTP, `none`, or all that it had one after the other.
ALTER TABLE calls ADD COLUMN srtp TEXT;
ALTER TABLE attempts ADD COLUMN srtp TEXT;

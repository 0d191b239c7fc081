"""A page in the browser that follows runs, of whatever process: records in, a small server out."""

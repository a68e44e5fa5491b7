"""The month's report: one content as plain data, written as HTML, PDF, XLSX, CSV and JSON."""

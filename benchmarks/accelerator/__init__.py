"""What an accelerator does with this program, measured in one sitting; README.md in this folder says how."""
